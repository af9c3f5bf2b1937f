//! The commands of `sampan-relay` and their arguments, as clap reads them.
//!
//! It does not: hold the words of help (the node's catalogue has them by name) or check values.
//!
//! Invariants: the commands on records are the node's own; every command and argument has its words.

use clap::{Args, Parser, Subcommand};
use sampan_node::cli::args::{DirArgs, GlobalArgs, RecordCommand, SyncArgs, TicketArgs, UpkeepCommand};
use std::net::SocketAddr;
use std::path::PathBuf;

/// Days without a word after which `silent` names a unit when none are given: one weekly connection was missed.
const SILENT_DAYS: u32 = 7;

/// `sampan-relay`.
#[derive(Debug, Parser)]
#[command(name = "sampan-relay", version, disable_help_subcommand = true)]
pub struct Cli {
    /// For every command.
    #[command(flatten)]
    pub global: GlobalArgs,
    /// The command; none = the everyday five are shown.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The commands of `sampan-relay`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Found an organisation.
    Init(InitArgs),
    /// Units.
    #[command(subcommand)]
    Unit(UnitCommand),
    /// The root key.
    #[command(subcommand)]
    Root(RootCommand),
    /// The schema.
    #[command(subcommand)]
    Schema(SchemaCommand),
    /// Make a ticket.
    Invite(InviteArgs),
    /// Join as a relay.
    Join(JoinArgs),
    /// The daemon.
    Run(RunArgs),
    /// One session with the parent.
    Sync(SyncArgs),
    /// Devices and their rights.
    Devices(DirArgs),
    /// End a device's rights.
    Revoke(RevokeArgs),
    /// Narrow a device's right.
    Narrow(NarrowArgs),
    /// What lies in the quarantine.
    Quarantine(QuarantineArgs),
    /// Who has not been heard of.
    Silent(SilentArgs),
    /// Work with records.
    #[command(flatten)]
    Record(RecordCommand),
    /// Look after the replica.
    #[command(flatten)]
    Upkeep(UpkeepCommand),
}

/// `unit …`.
#[derive(Debug, Subcommand)]
pub enum UnitCommand {
    /// Add.
    Add(UnitAddArgs),
    /// List.
    List(UnitListArgs),
    /// Later.
    Rename(LaterArgs),
    /// Later.
    Move(LaterArgs),
    /// Later.
    Merge(LaterArgs),
    /// Later.
    Split(LaterArgs),
    /// Later.
    Dissolve(LaterArgs),
    /// Later.
    Reorganise(LaterArgs),
}

/// `root …`.
#[derive(Debug, Subcommand)]
pub enum RootCommand {
    /// Take it offline.
    Export(RootFileArgs),
    /// Bring it back.
    Import(RootFileArgs),
    /// Name a new one.
    Succeed(SucceedArgs),
    /// Make this device an admin by it.
    Appoint(AppointArgs),
    /// What is known of it.
    Show(DirArgs),
}

/// `schema …`.
#[derive(Debug, Subcommand)]
pub enum SchemaCommand {
    /// Publish the next version.
    Publish(SchemaPublishArgs),
    /// Look a file over.
    Check(SchemaCheckArgs),
    /// What stands.
    Show(SchemaShowArgs),
}

/// `schema publish`.
#[derive(Debug, Clone, Args)]
pub struct SchemaPublishArgs {
    /// The folder.
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// The schema file.
    #[arg(id = "schema_file", value_name = "FILE")]
    pub file: PathBuf,
}

/// `schema check`.
#[derive(Debug, Clone, Args)]
pub struct SchemaCheckArgs {
    /// The schema file.
    #[arg(id = "schema_file", value_name = "FILE")]
    pub file: PathBuf,
    /// The folder whose schema it is to follow.
    #[arg(id = "schema_dir", value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// `schema show`.
#[derive(Debug, Clone, Args)]
pub struct SchemaShowArgs {
    /// The folder.
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// The file as it was published.
    #[arg(long)]
    pub source: bool,
}

/// `root export`, `root import`.
#[derive(Debug, Clone, Args)]
pub struct RootFileArgs {
    /// The folder.
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// The file of the key.
    #[arg(value_name = "FILE")]
    pub key_file: PathBuf,
}

/// `root succeed`.
#[derive(Debug, Clone, Args)]
pub struct SucceedArgs {
    /// The folder.
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// The file of the succession key.
    #[arg(long, value_name = "FILE|-")]
    pub succession_key: PathBuf,
}

/// `root appoint`.
#[derive(Debug, Clone, Args)]
pub struct AppointArgs {
    /// The folder.
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// The holder.
    #[arg(long, value_name = "NAME")]
    pub holder: String,
}

/// `init`.
#[derive(Debug, Clone, Args)]
pub struct InitArgs {
    /// The folder.
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// The organisation's name.
    #[arg(long, value_name = "NAME")]
    pub org: String,
    /// The schema file.
    #[arg(long, value_name = "FILE")]
    pub schema: Option<PathBuf>,
    /// Where to accept.
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// What to publish.
    #[arg(long, value_name = "ADDR", value_delimiter = ',')]
    pub advertise: Vec<String>,
}

/// `unit add`.
#[derive(Debug, Clone, Args)]
pub struct UnitAddArgs {
    /// The folder.
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// The unit's name.
    #[arg(long, value_name = "NAME", required_unless_present = "from", conflicts_with = "from")]
    pub name: Option<String>,
    /// The parent.
    #[arg(long, value_name = "UNIT")]
    pub parent: Option<String>,
    /// The unit's code.
    #[arg(long, value_name = "CODE", conflicts_with = "from")]
    pub code: Option<String>,
    /// The unit's kind.
    #[arg(long, value_name = "KIND")]
    pub kind: Option<String>,
    /// A csv file.
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,
    /// Columns that are levels.
    #[arg(long, value_name = "A,B,…", value_delimiter = ',', requires = "from")]
    pub levels: Vec<String>,
    /// Add the good rows.
    #[arg(long, requires = "from")]
    pub skip_bad: bool,
}

/// `unit list`.
#[derive(Debug, Clone, Args)]
pub struct UnitListArgs {
    /// The folder.
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// Indented.
    #[arg(long)]
    pub tree: bool,
}

/// `invite`; its unit is the `--unit` of every command.
#[derive(Debug, Clone, Args)]
pub struct InviteArgs {
    /// The folder.
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// The roles.
    #[arg(long, value_name = "ROLE", required = true, num_args = 1.., value_delimiter = ',')]
    pub role: Vec<String>,
    /// The holder.
    #[arg(long, value_name = "NAME")]
    pub holder: String,
    /// Whether the rights hold below.
    #[arg(long)]
    pub subtree: bool,
    /// Last day of the rights.
    #[arg(long, value_name = "DATE")]
    pub until: Option<String>,
    /// Last day of the ticket.
    #[arg(long, value_name = "DATE")]
    pub use_by: Option<String>,
    /// What may be written.
    #[arg(long, value_name = "A,B,…", value_delimiter = ',')]
    pub collections: Vec<String>,
    /// The device that is taken over from.
    #[arg(long, value_name = "DEVICE")]
    pub replaces: Option<String>,
    /// A file for the line.
    #[arg(long, value_name = "FILE")]
    pub ticket_file: Option<PathBuf>,
    /// A file for the picture, or `-`.
    #[arg(long, value_name = "FILE.svg|-")]
    pub qr: Option<PathBuf>,
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
    /// Where to accept.
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// What to publish.
    #[arg(long, value_name = "ADDR", value_delimiter = ',')]
    pub advertise: Vec<String>,
    /// Seconds to try the ticket's relays.
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    pub timeout: u64,
}

/// `run`.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// The folder.
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// Where to accept.
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// Address of the status page.
    #[arg(long, value_name = "ADDR")]
    pub web: Option<SocketAddr>,
}

/// `revoke`.
#[derive(Debug, Clone, Args)]
pub struct RevokeArgs {
    /// The folder.
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// The device.
    #[arg(value_name = "DEVICE")]
    pub device: String,
    /// Why.
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// The device is lost or stolen.
    #[arg(long, conflicts_with = "retire")]
    pub lost: bool,
    /// Its post was handed over.
    #[arg(long)]
    pub retire: bool,
}

/// `narrow`.
#[derive(Debug, Clone, Args)]
pub struct NarrowArgs {
    /// The folder.
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// The device.
    #[arg(value_name = "DEVICE")]
    pub device: String,
    /// The unit.
    #[arg(long, value_name = "UNIT")]
    pub unit: String,
    /// What is left of the roles.
    #[arg(long, value_name = "ROLE", num_args = 1.., value_delimiter = ',')]
    pub role: Vec<String>,
    /// What is left of the collections.
    #[arg(long, value_name = "A,B,…", value_delimiter = ',')]
    pub collections: Vec<String>,
    /// The new last day.
    #[arg(long, value_name = "DATE")]
    pub until: Option<String>,
    /// Why.
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
}

/// `quarantine`.
#[derive(Debug, Clone, Args)]
pub struct QuarantineArgs {
    /// The folder.
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// What to do.
    #[command(subcommand)]
    pub command: QuarantineCommand,
}

/// `quarantine DIR …`.
#[derive(Debug, Clone, Subcommand)]
pub enum QuarantineCommand {
    /// What lies there.
    List {
        /// Rejected ones too.
        #[arg(long)]
        all: bool,
        /// What waits at the levels below, by their own word.
        #[arg(long, conflicts_with = "all")]
        below: bool,
    },
    /// One commit.
    Show {
        /// The commit.
        #[arg(value_name = "COMMIT")]
        commit: String,
    },
    /// Let commits count.
    Release(VerdictArgs),
    /// Leave commits out for good.
    Reject(VerdictArgs),
}

/// `quarantine DIR release|reject`.
#[derive(Debug, Clone, Args)]
pub struct VerdictArgs {
    /// The commits.
    #[arg(value_name = "COMMIT", required = true)]
    pub commits: Vec<String>,
    /// Why.
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
}

/// `silent`.
#[derive(Debug, Clone, Args)]
pub struct SilentArgs {
    /// The folder.
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// For how many days.
    #[arg(id = "silent_days", long = "days", value_name = "N", default_value_t = SILENT_DAYS)]
    pub days: u32,
    /// Added up by the units directly below.
    #[arg(long)]
    pub sums: bool,
}

/// A command of a later version: whatever it is given.
#[derive(Debug, Clone, Args)]
pub struct LaterArgs {
    /// Anything.
    #[arg(value_name = "…", trailing_var_arg = true, allow_hyphen_values = true)]
    pub rest: Vec<String>,
}
