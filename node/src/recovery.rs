//! Recovery of a forgotten passphrase, where it needs the charter: who above can open a deposit, and whom this
//! device answers.
//!
//! It does not: know the texts (`sampan_core::bundle::recovery`) or the files under `keys/` (`keys::recovery`).
//!
//! Invariants: a deposit is sealed to the relays of the nearest level above and to nobody else; an answer is made
//! only where the person at the relay has the code that the other side read out, for a device whose right stands,
//! in a unit that this relay serves.

use crate::keys::recovery::{self, RecoverError};
use crate::keys::{self, KeyError, KeyKind, is_locked, unlock};
use crate::replica::Replica;
use sampan_core::bundle::recovery::{Answer, Deposit, DepositHead, RecoveryError, Request};
use sampan_core::bundle::{BoxKey, BoxSecret, Plan, PlanError, Target, named_by_ticket};
use sampan_core::charter::Charter;
use sampan_core::id::{DeviceId, UnitId};
use sampan_core::scope::Side;
use sampan_core::store::StoreError;
use sampan_core::time::Millis;

/// Why nothing was left with the level above, or nothing is answered.
#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    /// The folder.
    #[error(transparent)]
    Folder(#[from] RecoverError),
    /// Nobody above.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A request of another organisation.
    #[error("this request belongs to another organisation")]
    OtherOrganisation,
    /// The code that was read out is another request's.
    #[error("this is not the code of the request")]
    Code,
    /// The device that asks was revoked.
    #[error("the right of this device has ended: {0}")]
    Ended(String),
    /// This charter shows no right of the device that asks.
    #[error("no right of this device is known here")]
    Unknown,
    /// The device that asks is not below this one.
    #[error("this device is no relay of the unit that asks")]
    NotBelow,
}

impl From<KeyError> for DeskError {
    fn from(e: KeyError) -> Self {
        Self::Folder(e.into())
    }
}

impl From<RecoveryError> for DeskError {
    fn from(e: RecoveryError) -> Self {
        Self::Folder(e.into())
    }
}

/// Who above can open what this folder leaves with them.
fn receivers(replica: &Replica) -> Result<Vec<(DeviceId, BoxKey)>, DeskError> {
    let first = replica.file().replica.as_ref().and_then(|t| t.relays.first()).map(|r| r.device);
    let named = named_by_ticket(&replica.engine, &replica.store, first)?;
    let plan = Plan::of(&replica.engine, Target::Above, &named, replica.now())?;
    Ok(plan.receivers.iter().filter(|r| !r.ticket).map(|r| (r.key, r.box_key)).collect())
}

/// Leaves the folder's key with the level above, sealed; which devices can open it.
///
/// # Errors
/// [`DeskError`]; an older deposit stays as it was.
pub fn make(replica: &Replica) -> Result<Vec<DeviceId>, DeskError> {
    let keys = replica.dir().keys();
    if !is_locked(&keys) {
        return Err(RecoverError::NotLocked(keys).into());
    }
    let to = receivers(replica)?;
    let folder_key = unlock::folder_key(&keys)?;
    let (org, now) = (replica.engine.org(), replica.now());
    let key = replica.engine.key();
    let deposit = Deposit::make(key, org, now, &to, folder_key.bytes(), &mut crate::entropy::SystemEntropy)?;
    recovery::keep(&keys, &deposit)?;
    // The passphrase is known after all.
    recovery::forget_asked(&keys)?;
    Ok(to.into_iter().map(|(device, _)| device).collect())
}

/// As [`make`], where the level above is another than the deposit is sealed to; whether it was made anew.
///
/// # Errors
/// [`DeskError`].
pub fn refresh(replica: &Replica) -> Result<bool, DeskError> {
    let keys = replica.dir().keys();
    if !is_locked(&keys) {
        return Ok(false);
    }
    // One that cannot be read is made anew.
    let kept = recovery::deposit(&keys).ok().flatten().and_then(|d| d.head().ok());
    let to = match receivers(replica) {
        Ok(to) => to,
        // At the root there is nobody, and a replica without a charter may hear of somebody later.
        Err(DeskError::Plan(_)) => return Ok(false),
        Err(e) => return Err(e),
    };
    let same = |head: &DepositHead| {
        head.device == replica.device() && head.receivers.iter().eq(to.iter().map(|(device, _)| device))
    };
    if kept.as_ref().is_some_and(same) {
        return Ok(false);
    }
    make(replica).map(|_| true)
}

/// [`refresh`], where nobody waits for it: what fails is tried again at the next sync.
pub fn refreshed(replica: &Replica) {
    if let Err(e) = refresh(replica) {
        tracing::warn!(error = %e, "the recovery file was not made");
    }
}

/// A request that this device may answer.
#[derive(Debug)]
pub struct Asked {
    /// What stands openly in its deposit.
    pub head: DepositHead,
    /// When it was asked.
    pub asked: Millis,
    /// The units of the device that asks.
    pub units: Vec<UnitId>,
    /// The answer.
    pub answer: Answer,
}

/// Opens what a device below left here, and answers it.
///
/// # Errors
/// [`DeskError`].
pub fn answer(replica: &Replica, request: &Request, code: &str) -> Result<Asked, DeskError> {
    let head = request.deposit.head()?;
    if head.org != replica.engine.org() {
        return Err(DeskError::OtherOrganisation);
    }
    if !request.has_code(code) {
        return Err(DeskError::Code);
    }
    let units = judge(replica.engine.charter(), &replica.device(), &head.device, replica.now())?;
    let secrets =
        [keys::load(&replica.dir().keys(), KeyKind::Box)?.box_secret(), BoxSecret::of_signer(replica.engine.key())];
    let folder_key = request.deposit.open(&secrets)?;
    let answer = request.answer(&folder_key, &mut crate::entropy::SystemEntropy)?;
    Ok(Asked { head, asked: request.asked, units, answer })
}

/// The units of a device that may be answered.
fn judge(charter: &Charter, me: &DeviceId, device: &DeviceId, now: Millis) -> Result<Vec<UnitId>, DeskError> {
    if let Some(reason) = charter.revoked(device) {
        return Err(DeskError::Ended(reason.to_owned()));
    }
    let mut rights = charter.rights(device).peekable();
    rights.peek().ok_or(DeskError::Unknown)?;
    let ended = |until: Option<Millis>| until.is_some_and(|u| u < now) && !now.is_unset();
    if rights.all(|r| ended(r.until)) {
        return Err(DeskError::Ended("until".to_owned()));
    }
    let mine = Side::of(charter, me).relay_units;
    let units: Vec<UnitId> = charter.units_of(device).into_iter().collect();
    if units.iter().any(|unit| charter.chain(unit).any(|u| mine.contains(&u.id))) {
        Ok(units)
    } else {
        Err(DeskError::NotBelow)
    }
}
