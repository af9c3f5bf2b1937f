//! The commands and their arguments, as clap reads them.
//!
//! It does not: hold the words of help (`i18n::help` has them by name) or check values.
//!
//! Invariants: every command and argument has its words in the catalogue; `sampan-relay` flattens
//! the same [`RecordCommand`] and [`UpkeepCommand`].

use crate::i18n::Lang;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// Days ahead that `due` looks when none are named: until the next monthly meeting.
const DUE_DAYS: u32 = 30;
/// Days ahead that `due` can look: ten years.
const DUE_DAYS_MAX: i64 = 3_660;

/// `sampan`.
#[derive(Debug, Parser)]
#[command(name = "sampan", version, disable_help_subcommand = true)]
pub struct Cli {
    /// For every command.
    #[command(flatten)]
    pub global: GlobalArgs,
    /// The command; none = the everyday five are shown.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Arguments of every command.
#[derive(Debug, Clone, Args)]
pub struct GlobalArgs {
    /// Language of words.
    #[arg(long, global = true, value_name = "vi|en")]
    pub lang: Option<Lang>,
    /// Results and errors as JSON.
    #[arg(long, global = true)]
    pub json: bool,
    /// Which unit, for a device that serves several.
    #[arg(long, global = true, value_name = "UNIT")]
    pub unit: Option<String>,
    /// Where the passphrase of the folder's keys stands.
    #[arg(long, global = true, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
}

/// The commands of `sampan`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Join a unit.
    Join(JoinArgs),
    /// The daemon.
    Run(RunArgs),
    /// One session.
    Sync(SyncArgs),
    /// Work with records.
    #[command(flatten)]
    Record(RecordCommand),
    /// Look after the replica.
    #[command(flatten)]
    Upkeep(UpkeepCommand),
}

/// Commands on records, the same in `sampan` and `sampan-relay`.
#[derive(Debug, Subcommand)]
pub enum RecordCommand {
    /// Add records.
    Add(AddArgs),
    /// Edit a record.
    Set(SetArgs),
    /// Remove a record.
    Remove(RecordArgs),
    /// Find and list.
    List(ListArgs),
    /// Show one record.
    Show(ShowArgs),
    /// List conflicts.
    Conflicts(DirArgs),
    /// Pick one value.
    Resolve(ResolveArgs),
    /// Gone for ever.
    Erase(EraseArgs),
    /// Write a csv file.
    Export(ExportArgs),
    /// What must be done by when.
    Due(DueArgs),
    /// Who has answered a record, and who has not.
    Replies(RepliesArgs),
    /// Targets and how much of them is reached.
    Targets(TargetsArgs),
    /// One page to look at.
    Report(ReportArgs),
    /// Keep a file with a record.
    Attach(AttachArgs),
    /// A record's file, to the disk.
    Fetch(FetchArgs),
}

/// Commands that look after a replica.
#[derive(Debug, Subcommand)]
pub enum UpkeepCommand {
    /// What is where.
    Status(DirArgs),
    /// Figures.
    Rollup(RollupArgs),
    /// Check everything, or a file of evidence.
    Verify(VerifyArgs),
    /// Write a file of evidence.
    Audit(AuditArgs),
    /// Find causes.
    Doctor(DirArgs),
    /// Files instead of a link.
    #[command(subcommand)]
    Bundle(BundleCommand),
    /// The passphrase of the keys.
    Passphrase(PassphraseArgs),
    /// A passphrase that was forgotten.
    #[command(subcommand)]
    Recovery(RecoveryCommand),
    /// An encrypted database instead of a plain one.
    Encrypt(DirArgs),
    /// One file of everything.
    Backup(BackupArgs),
    /// A new folder from such a file.
    Restore(RestoreArgs),
}

/// `bundle …`.
#[derive(Debug, Subcommand)]
pub enum BundleCommand {
    /// Make one.
    Create(BundleCreateArgs),
    /// Take one in.
    Apply(BundleApplyArgs),
    /// Look at one.
    Inspect(BundleFileArgs),
    /// Those that wait for an earlier one.
    Waiting(BundleWaitingArgs),
}

/// `bundle create`.
#[derive(Debug, Clone, Args)]
pub struct BundleCreateArgs {
    /// The folder.
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// The file.
    #[arg(value_name = "FILE")]
    pub bundle: PathBuf,
    /// Who is to receive it.
    #[arg(long = "for", value_name = "UNIT|DEVICE")]
    pub recipient: Option<String>,
    /// With what the receiver has already.
    #[arg(long)]
    pub whole: bool,
}

/// `bundle apply`.
#[derive(Debug, Clone, Args)]
pub struct BundleApplyArgs {
    /// The folder.
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// The file.
    #[arg(value_name = "FILE")]
    pub bundle: PathBuf,
    /// Where the answer goes.
    #[arg(long, value_name = "FILE")]
    pub receipt: Option<PathBuf>,
}

/// `bundle waiting`.
#[derive(Debug, Clone, Args)]
pub struct BundleWaitingArgs {
    /// The folder.
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// The one to remove.
    #[arg(long = "drop", value_name = "ID")]
    pub bundle_drop: Option<String>,
}

/// `bundle inspect`.
#[derive(Debug, Clone, Args)]
pub struct BundleFileArgs {
    /// The folder.
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// The file.
    #[arg(value_name = "FILE")]
    pub bundle: PathBuf,
}

/// DIR alone.
#[derive(Debug, Clone, Args)]
pub struct DirArgs {
    /// The folder.
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
}

/// `rollup`; its unit is the `--unit` of every command.
#[derive(Debug, Clone, Args)]
pub struct RollupArgs {
    /// The folder.
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// One metric.
    #[arg(long, value_name = "METRIC")]
    pub metric: Option<String>,
    /// One period.
    #[arg(long, value_name = "PERIOD")]
    pub period: Option<String>,
    /// A row for each unit one level down.
    #[arg(long)]
    pub by_unit: bool,
    /// The units that have not reported.
    #[arg(long, conflicts_with = "by_unit")]
    pub missing: bool,
    /// Count anew by the second way.
    #[arg(long, conflicts_with_all = ["by_unit", "missing", "period"])]
    pub check: bool,
    /// Close a period.
    #[arg(long, value_name = "PERIOD", requires = "metric", conflicts_with_all = ["by_unit", "missing", "period", "check"])]
    pub close: Option<String>,
}

/// `verify`.
#[derive(Debug, Clone, Args)]
pub struct VerifyArgs {
    /// The folder.
    #[arg(value_name = "DIR", required_unless_present = "audit", conflicts_with = "audit")]
    pub dir: Option<PathBuf>,
    /// A file of evidence instead.
    #[arg(long, value_name = "FILE")]
    pub audit: Option<PathBuf>,
    /// The root key that it must lead to.
    #[arg(long, value_name = "KEY", requires = "audit")]
    pub root: Option<String>,
    /// Make the database anew where it is damaged.
    #[arg(long, conflicts_with = "audit")]
    pub repair: bool,
}

/// `audit`; its unit is the `--unit` of every command.
#[derive(Debug, Clone, Args)]
pub struct AuditArgs {
    /// The folder.
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// The file to write.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// One record.
    #[arg(long, value_name = "RECORD")]
    pub record: Option<String>,
    /// What was touched since then.
    #[arg(long, value_name = "DATE")]
    pub since: Option<String>,
}

/// What to do with the passphrase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum PassphraseAction {
    /// Give the folder one.
    Set,
    /// Give it another.
    Change,
    /// Take it away.
    Remove,
}

/// `passphrase`.
#[derive(Debug, Clone, Args)]
pub struct PassphraseArgs {
    /// The folder.
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// What to do.
    #[arg(value_name = "set|change|remove", hide_possible_values = true)]
    pub action: PassphraseAction,
    /// Where the new one of `change` stands.
    #[arg(long, value_name = "FILE")]
    pub new_passphrase_file: Option<PathBuf>,
}

/// `recovery …`.
#[derive(Debug, Subcommand)]
pub enum RecoveryCommand {
    /// Leave the key with the level above.
    Make(DirArgs),
    /// Ask the level above.
    Ask(RecoveryAskArgs),
    /// Answer a level below.
    Answer(RecoveryAnswerArgs),
    /// Take the answer.
    Finish(RecoveryFinishArgs),
}

/// `recovery ask`.
#[derive(Debug, Clone, Args)]
pub struct RecoveryAskArgs {
    /// The folder.
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// The file to write.
    #[arg(value_name = "REQUEST")]
    pub request: PathBuf,
}

/// `recovery answer`.
#[derive(Debug, Clone, Args)]
pub struct RecoveryAnswerArgs {
    /// The folder.
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// What was asked.
    #[arg(value_name = "REQUEST")]
    pub request: PathBuf,
    /// The file to write.
    #[arg(value_name = "ANSWER")]
    pub answer: PathBuf,
    /// What the other side read out.
    #[arg(id = "read_code", long = "code", value_name = "CODE")]
    pub code: String,
}

/// `recovery finish`.
#[derive(Debug, Clone, Args)]
pub struct RecoveryFinishArgs {
    /// The folder.
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// The answer.
    #[arg(value_name = "ANSWER")]
    pub answer: PathBuf,
    /// Where the new passphrase stands.
    #[arg(long, value_name = "FILE")]
    pub new_passphrase_file: Option<PathBuf>,
}

/// `backup`.
#[derive(Debug, Clone, Args)]
pub struct BackupArgs {
    /// The folder.
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// The file to write.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

/// `restore`.
#[derive(Debug, Clone, Args)]
pub struct RestoreArgs {
    /// The backup.
    #[arg(value_name = "FILE")]
    pub backup: PathBuf,
    /// The folder to make.
    #[arg(value_name = "NEWDIR")]
    pub new_dir: PathBuf,
}

/// `join`.
#[derive(Debug, Clone, Args)]
pub struct JoinArgs {
    /// The folder.
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// The ticket.
    #[command(flatten)]
    pub ticket: TicketArgs,
    /// Seconds to try the ticket's relays.
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    pub timeout: u64,
}

/// A ticket: the line itself, `@FILE`, or a file by its own option.
#[derive(Debug, Clone, Default, Args)]
pub struct TicketArgs {
    /// The line, or `@FILE`.
    #[arg(value_name = "TICKET|@FILE", required_unless_present = "ticket_from", conflicts_with = "ticket_from")]
    pub ticket: Option<String>,
    /// The file.
    #[arg(id = "ticket_from", long = "ticket-file", value_name = "FILE")]
    pub file: Option<PathBuf>,
}

/// `run`.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// The folder.
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// Address of the status page.
    #[arg(long, value_name = "ADDR")]
    pub web: Option<std::net::SocketAddr>,
}

/// `sync`.
#[derive(Debug, Clone, Args)]
pub struct SyncArgs {
    /// The folder.
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// An address to try instead of the known ones.
    #[arg(long, value_name = "ADDR")]
    pub relay: Option<String>,
    /// Seconds until the session is given up.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub timeout: u64,
}

/// `add`.
#[derive(Debug, Clone, Args)]
pub struct AddArgs {
    /// The folder.
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// The collection.
    #[arg(value_name = "COLLECTION")]
    pub collection: String,
    /// `field=value`.
    #[arg(value_name = "FIELD=VALUE", required_unless_present = "from", conflicts_with = "from")]
    pub assignments: Vec<String>,
    /// A csv file.
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,
    /// Import the good rows.
    #[arg(long, requires = "from")]
    pub skip_bad: bool,
}

/// `set`.
#[derive(Debug, Clone, Args)]
pub struct SetArgs {
    /// The folder.
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// The record.
    #[arg(value_name = "RECORD")]
    pub record: String,
    /// `field=value`.
    #[arg(value_name = "FIELD=VALUE", required = true)]
    pub assignments: Vec<String>,
}

/// `remove`.
#[derive(Debug, Clone, Args)]
pub struct RecordArgs {
    /// The folder.
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// The record.
    #[arg(value_name = "RECORD")]
    pub record: String,
}

/// `erase`.
#[derive(Debug, Clone, Args)]
pub struct EraseArgs {
    /// The folder.
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// The record.
    #[arg(value_name = "RECORD", required_unless_present_any = ["erase_holder", "erase_list"], conflicts_with_all = ["erase_holder", "erase_list"])]
    pub record: Option<String>,
    /// Why.
    #[arg(id = "erase_reason", long = "reason", value_name = "TEXT", required_unless_present = "erase_list")]
    pub reason: Option<String>,
    /// The holder of this grant instead.
    #[arg(id = "erase_holder", long = "holder", value_name = "DEVICE", conflicts_with = "erase_list")]
    pub holder: Option<String>,
    /// What is erased, and who has confirmed it.
    #[arg(id = "erase_list", long = "list")]
    pub list: bool,
}

/// `list`.
#[derive(Debug, Clone, Args)]
pub struct ListArgs {
    /// The folder.
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// The collection.
    #[arg(value_name = "COLLECTION")]
    pub collection: String,
    /// A condition.
    #[arg(long = "where", value_name = "EXPR")]
    pub filter: Option<String>,
    /// A text to find.
    #[arg(long, value_name = "TEXT")]
    pub search: Option<String>,
}

/// `show`.
#[derive(Debug, Clone, Args)]
pub struct ShowArgs {
    /// The folder.
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// The record.
    #[arg(value_name = "RECORD")]
    pub record: String,
    /// With its history.
    #[arg(long)]
    pub history: bool,
}

/// `resolve`.
#[derive(Debug, Clone, Args)]
pub struct ResolveArgs {
    /// The folder.
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// The record.
    #[arg(value_name = "RECORD")]
    pub record: String,
    /// `field=value`.
    #[arg(value_name = "FIELD=VALUE")]
    pub assignment: String,
}

/// `due`.
#[derive(Debug, Clone, Args)]
pub struct DueArgs {
    /// The folder.
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// How many days ahead.
    #[arg(long, value_name = "N", default_value_t = DUE_DAYS, value_parser = clap::value_parser!(u32).range(0..=DUE_DAYS_MAX))]
    pub days: u32,
    /// As seen on another day.
    #[arg(long, value_name = "DATE")]
    pub on: Option<String>,
    /// At the units below too.
    #[arg(long = "below")]
    pub units_below: bool,
}

/// `replies`.
#[derive(Debug, Clone, Args)]
pub struct RepliesArgs {
    /// The folder.
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// What was to be answered.
    #[arg(value_name = "RECORD")]
    pub record: String,
    /// Only those who have not.
    #[arg(id = "unanswered", long = "missing")]
    pub missing: bool,
}

/// `targets`; its unit is the `--unit` of every command.
#[derive(Debug, Clone, Args)]
pub struct TargetsArgs {
    /// The folder.
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// One metric.
    #[arg(id = "target_metric", long = "metric", value_name = "METRIC")]
    pub metric: Option<String>,
    /// One period.
    #[arg(id = "target_period", long = "period", value_name = "PERIOD")]
    pub period: Option<String>,
    /// The units one level down, too.
    #[arg(id = "target_by_unit", long = "by-unit")]
    pub by_unit: bool,
}

/// Days without a word after which a report names a unit as silent when none are given, as `silent` does.
const REPORT_SILENT_DAYS: u32 = 7;

/// `report`; its unit is the `--unit` of every command.
#[derive(Debug, Clone, Args)]
pub struct ReportArgs {
    /// The folder.
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// The file to write.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// As of the end of a period.
    #[arg(id = "report_period", long = "period", value_name = "PERIOD")]
    pub period: Option<String>,
    /// For how many days a unit is silent.
    #[arg(id = "report_days", long = "days", value_name = "N", default_value_t = REPORT_SILENT_DAYS)]
    pub days: u32,
}

/// `attach`.
#[derive(Debug, Clone, Args)]
pub struct AttachArgs {
    /// The folder.
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// The record.
    #[arg(value_name = "RECORD")]
    pub record: String,
    /// The field.
    #[arg(value_name = "FIELD")]
    pub field: String,
    /// The file.
    #[arg(value_name = "FILE")]
    pub attached: PathBuf,
}

/// `fetch`.
#[derive(Debug, Clone, Args)]
pub struct FetchArgs {
    /// The folder.
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// The record.
    #[arg(value_name = "RECORD")]
    pub record: String,
    /// The field.
    #[arg(value_name = "FIELD")]
    pub field: String,
    /// Where to.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

/// `export`.
#[derive(Debug, Clone, Args)]
pub struct ExportArgs {
    /// The folder.
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// The collection.
    #[arg(value_name = "COLLECTION")]
    pub collection: String,
    /// The file to write.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}
