//! Units: what a list of wanted ones means beside those that exist, and writing the new ones.
//!
//! It does not: read files (see `unit_csv`).
//!
//! Invariants: a plan is whole before anything is written; a parent stands in it before its children;
//! a code is unique among the units of one level; nothing is created twice.

use super::Desk;
use super::when::rfc3339;
use sampan_core::charter::{Charter, Op};
use sampan_core::entropy::random;
use sampan_core::fold::{fold, sort_key};
use sampan_core::id::UnitId;
use sampan_core::limits::{NAME_BYTES_MAX, TREE_DEPTH_MAX};
use sampan_core::store::StoreError;
use sampan_node::i18n::{Lang, t};
use serde::Serialize;
use std::collections::BTreeMap;

/// A unit of the tree or of the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// It exists.
    Known(UnitId),
    /// It is planned, at this position.
    New(usize),
}

/// What one unit is to be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wanted {
    /// Its name.
    pub name: String,
    /// Its code.
    pub code: Option<String>,
    /// Its kind; `None` = the name of the level below its parent's.
    pub kind: Option<String>,
}

/// A unit of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// Its parent.
    pub parent: Place,
    /// Its name.
    pub name: String,
    /// Its code.
    pub code: Option<String>,
    /// Its kind.
    pub kind: Option<String>,
    /// Its depth, 0 = root.
    pub depth: u8,
    /// Its level.
    pub level: u8,
}

/// Why a unit cannot be planned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// No name.
    NoName,
    /// A name, code or kind over its limit.
    Long,
    /// Another unit of the level has the code.
    CodeTaken {
        /// The code.
        code: String,
        /// The unit's name.
        by: String,
    },
    /// The parent's child of this code has another name.
    OtherName {
        /// The code.
        code: String,
        /// The child's name.
        by: String,
        /// The name wanted.
        name: String,
    },
    /// The parent has several children of the name, and no code says which.
    Several(String),
    /// The kind is a level that does not lie below the parent's.
    KindAbove(String),
    /// The schema names its levels, and the kind is none of them.
    KindUnknown {
        /// The kind.
        kind: String,
        /// The levels.
        known: Vec<String>,
    },
    /// Deeper than any tree.
    TooDeep,
}

impl Refusal {
    /// In words.
    #[must_use]
    pub fn words(&self, lang: Lang) -> String {
        match self {
            Self::NoName => t(lang, "unit.no_name", &[]),
            Self::Long => t(lang, "unit.name_long", &[("limit", &NAME_BYTES_MAX.to_string())]),
            Self::CodeTaken { code, by } => t(lang, "unit.code_taken", &[("code", code), ("by", by)]),
            Self::OtherName { code, by, name } => {
                t(lang, "unit.other_name", &[("code", code), ("by", by), ("name", name)])
            }
            Self::Several(name) => t(lang, "unit.several", &[("name", name)]),
            Self::KindAbove(kind) => t(lang, "unit.kind_above", &[("kind", kind)]),
            Self::KindUnknown { kind, known } => {
                t(lang, "unit.kind_unknown", &[("kind", kind), ("known", &known.join(", "))])
            }
            Self::TooDeep => t(lang, "unit.too_deep", &[("limit", &TREE_DEPTH_MAX.to_string())]),
        }
    }
}

/// A plan beside a charter.
#[derive(Debug)]
pub struct Plan<'a> {
    charter: &'a Charter,
    levels: &'a [String],
    new: Vec<Planned>,
    /// Children by code.
    by_code: BTreeMap<(Place, String), Place>,
    /// Children by folded name.
    by_name: BTreeMap<(Place, String), Vec<Place>>,
    /// Who has a code on a level.
    taken: BTreeMap<(u8, String), Place>,
}

impl<'a> Plan<'a> {
    /// An empty plan.
    #[must_use]
    pub fn new(charter: &'a Charter, levels: &'a [String]) -> Self {
        let mut plan = Self {
            charter,
            levels,
            new: Vec::new(),
            by_code: BTreeMap::new(),
            by_name: BTreeMap::new(),
            taken: BTreeMap::new(),
        };
        for unit in charter.units() {
            let place = Place::Known(unit.id);
            let parent = unit.parent.map(Place::Known);
            plan.remember(place, parent, &unit.name, unit.code.as_deref(), charter.level(&unit.id, levels));
        }
        plan
    }

    fn remember(&mut self, place: Place, parent: Option<Place>, name: &str, code: Option<&str>, level: u8) {
        if let Some(parent) = parent {
            self.by_name.entry((parent, fold(name))).or_default().push(place);
            if let Some(code) = code {
                self.by_code.insert((parent, code.to_owned()), place);
            }
        }
        if let Some(code) = code {
            self.taken.insert((level, code.to_owned()), place);
        }
    }

    /// The units that are new, parents before their children.
    #[must_use]
    pub fn planned(&self) -> &[Planned] {
        &self.new
    }

    /// The new units, given away.
    #[must_use]
    pub fn into_planned(self) -> Vec<Planned> {
        self.new
    }

    /// Forgets what was planned after the first `len` units.
    pub fn undo_to(&mut self, len: usize) {
        while self.new.len() > len {
            let at = Place::New(self.new.len() - 1);
            let Some(unit) = self.new.pop() else { return };
            if let Some(list) = self.by_name.get_mut(&(unit.parent, fold(&unit.name))) {
                list.retain(|p| *p != at);
            }
            if let Some(code) = unit.code {
                self.by_code.remove(&(unit.parent, code.clone()));
                self.taken.remove(&(unit.level, code));
            }
        }
    }

    /// The name of a unit.
    #[must_use]
    pub fn name(&self, place: Place) -> &str {
        match place {
            Place::Known(id) => self.charter.unit(&id).map_or("", |u| &u.name),
            Place::New(i) => &self.new[i].name,
        }
    }

    fn depth(&self, place: Place) -> u8 {
        match place {
            Place::Known(id) => self.charter.unit(&id).map_or(0, |u| u.depth),
            Place::New(i) => self.new[i].depth,
        }
    }

    fn level(&self, place: Place) -> u8 {
        match place {
            Place::Known(id) => self.charter.level(&id, self.levels),
            Place::New(i) => self.new[i].level,
        }
    }

    /// The unit that is meant: one that exists or is planned, or a new one.
    ///
    /// # Errors
    /// [`Refusal`]; the plan is unchanged.
    pub fn place(&mut self, parent: Place, wanted: &Wanted) -> Result<(Place, bool), Refusal> {
        let name = wanted.name.trim();
        let tidy = |t: &Option<String>| t.as_deref().map(str::trim).filter(|t| !t.is_empty()).map(str::to_owned);
        let (code, kind) = (tidy(&wanted.code), tidy(&wanted.kind));
        if name.is_empty() {
            return Err(Refusal::NoName);
        }
        if [Some(name), code.as_deref(), kind.as_deref()].iter().flatten().any(|t| t.len() > NAME_BYTES_MAX) {
            return Err(Refusal::Long);
        }
        let folded = fold(name);
        match &code {
            Some(code) => {
                if let Some(there) = self.by_code.get(&(parent, code.clone())) {
                    let by = self.name(*there);
                    if fold(by) != folded {
                        let (code, by) = (code.clone(), by.to_owned());
                        return Err(Refusal::OtherName { code, by, name: name.to_owned() });
                    }
                    return Ok((*there, false));
                }
            }
            None => match self.by_name.get(&(parent, folded)).map(Vec::as_slice) {
                None | Some([]) => {}
                Some([one]) => return Ok((*one, false)),
                Some(_) => return Err(Refusal::Several(name.to_owned())),
            },
        }
        let (depth, above) = (self.depth(parent).saturating_add(1), self.level(parent));
        if usize::from(depth) >= TREE_DEPTH_MAX {
            return Err(Refusal::TooDeep);
        }
        let kind = kind.or_else(|| self.levels.get(usize::from(above) + 1).cloned());
        let by_kind = kind.as_ref().and_then(|k| self.levels.iter().position(|l| l == k));
        // A slip in it would put the unit on the level of its depth, for ever, and say nothing.
        if let Some(kind) = kind.as_ref().filter(|_| by_kind.is_none() && !self.levels.is_empty()) {
            return Err(Refusal::KindUnknown { kind: kind.clone(), known: self.levels.to_vec() });
        }
        // At most TREE_DEPTH_MAX levels: the position fits.
        let level = by_kind.map_or(depth, |p| p as u8);
        if by_kind.is_some() && level <= above {
            return Err(Refusal::KindAbove(kind.unwrap_or_default()));
        }
        if let Some(code) = &code
            && let Some(by) = self.taken.get(&(level, code.clone()))
        {
            return Err(Refusal::CodeTaken { code: code.clone(), by: self.name(*by).to_owned() });
        }
        let place = Place::New(self.new.len());
        self.remember(place, Some(parent), name, code.as_deref(), level);
        self.new.push(Planned { parent, name: name.to_owned(), code, kind, depth, level });
        Ok((place, true))
    }

    /// Units that a text names, among those that exist and those planned: by id, code, path or name.
    #[must_use]
    pub fn named(&self, text: &str) -> Vec<Place> {
        let mut found: Vec<Place> =
            super::resolve::units_named(self.charter, text).into_iter().map(Place::Known).collect();
        let new = || (0..self.new.len()).map(Place::New);
        let text = text.trim();
        let by_code = |p: &Place| matches!(p, Place::New(i) if self.new[*i].code.as_deref() == Some(text));
        let codes: Vec<Place> = new().filter(by_code).collect();
        if !codes.is_empty() {
            // A code leads names, as everywhere.
            found.retain(|p| matches!(p, Place::Known(id) if self.charter.unit(id).is_some_and(|u| u.code.as_deref() == Some(text))));
            found.extend(codes);
            return found;
        }
        let coded = |id: &UnitId| self.charter.unit(id).is_some_and(|u| u.code.as_deref() == Some(text));
        if found.iter().any(|p| matches!(p, Place::Known(id) if coded(id) || id.to_string() == text)) {
            return found;
        }
        let folded = fold(text);
        let by_words = |p: &Place| {
            if text.contains('/') { fold(&self.path(*p)) == folded } else { fold(self.name(*p)) == folded }
        };
        found.extend(new().filter(by_words));
        found
    }

    fn path(&self, place: Place) -> String {
        match place {
            Place::Known(id) => self.charter.path(&id),
            Place::New(i) => {
                let unit = &self.new[i];
                let root = matches!(unit.parent, Place::Known(id) if self.charter.root() == Some(id));
                if root { unit.name.clone() } else { format!("{}/{}", self.path(unit.parent), unit.name) }
            }
        }
    }
}

/// Writes planned units, the operations of one parent together; their ids in the order of the plan.
///
/// # Errors
/// [`StoreError`].
pub fn write(desk: &mut Desk, planned: &[Planned]) -> Result<Vec<UnitId>, StoreError> {
    let ids: Vec<UnitId> = planned.iter().map(|_| UnitId(random(desk.rng))).collect();
    let id_of = |p: Place| match p {
        Place::Known(id) => id,
        Place::New(i) => ids[i],
    };
    // By depth: a unit's charter takes operations only once the unit exists.
    let mut order: Vec<(u8, usize, UnitId)> = Vec::new();
    let mut ops: BTreeMap<UnitId, Vec<Op>> = BTreeMap::new();
    for (i, unit) in planned.iter().enumerate() {
        let parent = id_of(unit.parent);
        let of_parent = ops.entry(parent).or_insert_with(|| {
            order.push((unit.depth, i, parent));
            Vec::new()
        });
        of_parent.push(Op::CreateUnit {
            unit: ids[i],
            name: unit.name.clone(),
            code: unit.code.clone(),
            kind: unit.kind.clone(),
            since: desk.now,
        });
    }
    order.sort_unstable();
    for (_, _, parent) in order {
        desk.engine.write_charter(desk.store, desk.rng, parent, &ops[&parent], desk.now)?;
    }
    Ok(ids)
}

/// A unit as `unit list` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnitRow {
    /// Its id.
    pub unit: String,
    /// Its code.
    pub code: Option<String>,
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: Option<String>,
    /// Its parent's id.
    pub parent: Option<String>,
    /// Since when.
    pub since: String,
    /// Until when.
    pub until: Option<String>,
    /// `active`; other words come with the tree log.
    pub status: &'static str,
    /// Its depth, for indenting.
    #[serde(skip)]
    pub depth: u8,
}

/// One unit.
#[must_use]
pub fn row(charter: &Charter, id: &UnitId) -> Option<UnitRow> {
    charter.unit(id).map(|u| UnitRow {
        unit: u.id.to_string(),
        code: u.code.clone(),
        name: u.name.clone(),
        kind: u.kind.clone(),
        parent: u.parent.map(|p| p.to_string()),
        since: rfc3339(u.since),
        until: None,
        status: "active",
        depth: u.depth,
    })
}

/// Every unit, each parent before its children, siblings by code, then name.
#[must_use]
pub fn rows(charter: &Charter) -> Vec<UnitRow> {
    let mut out = Vec::new();
    let mut open: Vec<UnitId> = charter.root().into_iter().collect();
    while let Some(id) = open.pop() {
        out.extend(row(charter, &id));
        let mut children: Vec<_> =
            charter.unit(&id).iter().flat_map(|u| &u.children).filter_map(|c| charter.unit(c)).collect();
        children.sort_by_cached_key(|u| (u.code.is_none(), u.code.clone(), sort_key(&u.name), u.id));
        open.extend(children.iter().rev().map(|u| u.id));
    }
    out
}
