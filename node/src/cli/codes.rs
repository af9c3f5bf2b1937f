//! Every error code that `--json` shows, with its exit and its meaning. Programs may rely on them:
//! a code is never given another meaning.
//!
//! It does not: hold the words (`i18n` has `error.CODE` and `hint.CODE` for each).

use super::exit::ExitCode::{self, BadInput, Damaged, Failed, Interrupted, NotInSync, Refused};

/// One code.
#[derive(Debug, PartialEq, Eq)]
pub struct Code {
    /// What programs compare.
    pub name: &'static str,
    /// The exit that goes with it.
    pub exit: ExitCode,
    /// What it means.
    pub about: &'static str,
}

macro_rules! codes {
    ($($constant:ident $name:literal $exit:ident $about:literal;)*) => {
        $(#[doc = $about] pub static $constant: Code = Code { name: $name, exit: $exit, about: $about };)*
        /// Every code, in the order of the manual.
        pub static ALL: &[&Code] = &[$(&$constant),*];
    };
}

codes! {
    USAGE "usage" BadInput "The command line is not right.";
    INTERNAL "internal" Failed "A fault of the program.";
    OUTPUT "output" Failed "The result could not be written.";
    INTERRUPTED "interrupted" Interrupted "Stopped by the person.";

    TICKET_NOT "ticket_not" BadInput "The argument is not a ticket.";
    TICKET_CUT "ticket_cut" BadInput "The ticket is incomplete.";
    TICKET_ALTERED "ticket_altered" BadInput "The ticket's checksum is wrong.";
    TICKET_NEWER "ticket_newer" BadInput "The ticket is of a newer form.";
    TICKET_OTHER_ORG "ticket_other_org" BadInput "The folder belongs to another organisation.";
    TICKET_USED "ticket_used" Refused "The ticket was used by another device.";
    TICKET_EXPIRED "ticket_expired" Refused "The ticket has expired.";

    UNKNOWN_FIELD "unknown_field" BadInput "The collection has no such field.";
    UNKNOWN_COLLECTION "unknown_collection" BadInput "The schema has no such collection.";
    UNKNOWN_RECORD "unknown_record" BadInput "No record has this id.";
    UNKNOWN_UNIT "unknown_unit" BadInput "No unit has this id, code, path or name.";
    AMBIGUOUS_UNIT "ambiguous_unit" BadInput "Several units have this name.";
    UNIT_NEEDED "unit_needed" BadInput "The device serves several units and none was chosen.";
    UNKNOWN_METRIC "unknown_metric" BadInput "The schema has no such metric.";
    BAD_PERIOD "bad_period" BadInput "The argument is not a period.";
    OTHER_PERIOD "other_period" BadInput "The metric is kept by another kind of period.";
    PERIOD_OPEN "period_open" BadInput "The period is not over and cannot be closed.";
    FIGURE_UNKNOWN "figure_unknown" NotInSync "A figure that is not known here cannot be closed here.";
    PERIOD_CLOSED "period_closed" BadInput "The period was closed already; that stands for ever.";
    METRIC_REACH "metric_reach" Refused "The metric is not shown at this level.";
    FIGURES_DIFFER "figures_differ" Damaged "Figures counted anew are others than those kept.";
    BAD_VALUE "bad_value" BadInput "A field does not take this value.";
    BAD_DATE "bad_date" BadInput "The value is not a date.";
    UNKNOWN_CHOICE "unknown_choice" BadInput "The field has no such choice.";
    BAD_EXPR "bad_expr" BadInput "The condition of `--where` cannot be read.";
    BAD_SCHEMA "bad_schema" BadInput "The schema file cannot be used.";
    SCHEMA_FOLLOW "schema_follow" BadInput "The schema may not follow the one that was published.";
    LIMIT "limit" BadInput "Something is over a limit.";
    REQUIRED "required" BadInput "Required fields are empty.";
    KEY_FIELD "key_field" BadInput "A field of a record's identity never changes.";
    AMBIGUOUS_RECORD "ambiguous_record" BadInput "Several records have an id that starts so.";
    NOT_ANSWERED "not_answered" BadInput "No collection answers records of this kind.";
    RECORD_NOT_HERE "record_not_here" NotInSync "The record's creation has not arrived.";
    RECORD_ERASED "record_erased" Refused "The record was erased on request, for ever.";
    RECORD_DAMAGED "record_damaged" Damaged "The record cannot be opened.";
    NO_SCHEMA "no_schema" NotInSync "The schema has not come yet.";
    SCHEMA_NEWER "schema_newer" Failed "The organisation's schema is of a form that this version does not read.";
    NOT_IN_CONFLICT "not_in_conflict" BadInput "The field has one value.";

    CSV_HEADER "csv_header" BadInput "The csv header has unknown columns.";
    CSV_COLUMN_TWICE "csv_column_twice" BadInput "The csv header has a column twice.";
    CSV_EMPTY "csv_empty" BadInput "The csv file has no header.";
    CSV_ENCODING "csv_encoding" BadInput "The csv file is not UTF-8.";
    CSV_ROW_LONG "csv_row_long" BadInput "A csv row is over the limit.";
    CSV_BROKEN "csv_broken" BadInput "The csv file cannot be read as csv.";
    CSV_BAD_ROWS "csv_bad_rows" BadInput "Rows were refused; nothing was imported.";
    XLSX "xlsx" BadInput "xlsx files are not read by this version.";
    EXPORT_KIND "export_kind" BadInput "No export has this file ending.";
    REPORT_KIND "report_kind" BadInput "No report has this file ending.";
    FILE_UNWRITABLE "file_unwritable" Failed "A file that was named cannot be written.";
    FILE_UNREADABLE "file_unreadable" BadInput "A file that was named cannot be read.";

    FILE_EXISTS "file_exists" BadInput "A file that would be made is there already.";
    FILE_NOT_HERE "file_not_here" NotInSync "An attached file is not all here; it is marked as wanted.";
    FILE_NONE "file_none" BadInput "No file is attached to the field.";
    FIELD_NOT_FILE "field_not_file" BadInput "The field does not hold files.";
    FILE_NAME "file_name" BadInput "The name cannot be that of an attached file.";
    FILE_FORM "file_form" BadInput "The field names no file.";
    FILE_DAMAGED "file_damaged" Damaged "An attached file is damaged here.";
    QR_KIND "qr_kind" BadInput "No picture has this file ending.";

    DIR_FOREIGN "dir_foreign" BadInput "The folder is not empty and not ours.";
    DIR_NOT_OURS "dir_not_ours" BadInput "The folder holds no replica.";
    DIR_NOT_A_FOLDER "dir_not_a_folder" BadInput "The path is a file.";
    UNFINISHED "unfinished" BadInput "The folder was not finished.";
    READ_ONLY "read_only" Failed "The folder cannot be written.";
    DISK_FULL "disk_full" Failed "No room on the disk.";
    BUSY "busy" Failed "Another process keeps the link of this folder.";
    IO "io" Failed "Reading or writing failed.";
    DATABASE_DAMAGED "database_damaged" Damaged "The database contradicts itself.";
    DATABASE_MISSING "database_missing" Damaged "The folder is ours and its database is gone.";
    DATABASE_NEWER "database_newer" Damaged "A newer version wrote the database.";
    DATABASE_ENCRYPTED "database_encrypted" Failed "The database is encrypted and the program was built without encryption.";
    ENCRYPTION_NONE "encryption_none" Failed "The program was built without encryption.";
    DATABASE_BUSY "database_busy" Failed "Another process holds the database.";
    DAMAGE_FOUND "damage_found" Damaged "`verify` found damage.";
    REPAIR_SYNC "repair_sync" NotInSync "What was damaged is to be fetched again: sync.";
    REPAIR_LATER "repair_later" Damaged "The database cannot be repaired before a sync.";

    CONFIG_UNKNOWN_KEY "config_unknown_key" BadInput "The config has an unknown key.";
    CONFIG_SYNTAX "config_syntax" BadInput "The config cannot be read.";
    CONFIG_VALUE "config_value" BadInput "A setting does not take its value.";
    KEY_EXPOSED "key_exposed" Failed "Others can read a secret key.";
    KEY_MISSING "key_missing" Failed "A key file is missing.";
    KEY_DAMAGED "key_damaged" Damaged "A key file is damaged.";
    KEY_EXISTS "key_exists" BadInput "A key is there already.";
    KEY_MEMORY "key_memory" Failed "The memory for opening the keys is not free.";

    PASSPHRASE_NEEDED "passphrase_needed" Refused "The keys are under a passphrase and none was given.";
    PASSPHRASE_WRONG "passphrase_wrong" Refused "The passphrase is not the one.";
    PASSPHRASE_UNREADABLE "passphrase_unreadable" BadInput "No passphrase can be read from the file that was named.";
    PASSPHRASE_WEAK "passphrase_weak" BadInput "A new passphrase is too short or too long.";
    PASSPHRASE_TWICE "passphrase_twice" BadInput "A new passphrase was typed differently the second time.";
    PASSPHRASE_SET "passphrase_set" BadInput "The folder has a passphrase already.";
    PASSPHRASE_NONE "passphrase_none" BadInput "The folder has no passphrase.";

    RECOVERY_NOT "recovery_not" BadInput "The file is not the recovery file that is asked for.";
    RECOVERY_NEWER "recovery_newer" BadInput "The recovery file is of a newer form.";
    RECOVERY_DAMAGED "recovery_damaged" BadInput "The recovery file is incomplete or was altered.";
    RECOVERY_NOT_FOR_US "recovery_not_for_us" Refused "The recovery file is sealed to other devices.";
    RECOVERY_OTHER "recovery_other" BadInput "The answer is to another request than this folder's.";
    RECOVERY_NONE "recovery_none" Refused "The folder's key was never left with the level above.";
    RECOVERY_NOT_ASKED "recovery_not_asked" BadInput "The folder waits for no answer.";
    RECOVERY_CODE "recovery_code" Refused "The code is not that of the request.";
    RECOVERY_REFUSED "recovery_refused" Refused "The device that asks is not one to be answered here.";

    BACKUP_NOT "backup_not" BadInput "The file is not a backup.";
    BACKUP_NEWER "backup_newer" BadInput "The backup is of a newer form.";
    BACKUP_CUT "backup_cut" BadInput "The backup is incomplete.";
    BACKUP_ALTERED "backup_altered" BadInput "The backup is not as it was written.";

    NO_GRANT "no_grant" Refused "The device has no grant.";
    GRANT_ENDED "grant_ended" Refused "The device's grant has ended.";
    DEVICE_CUT "device_cut" Refused "The device's rights were ended for good.";
    NO_RIGHT "no_right" Refused "The device's grants do not allow this.";

    UNREACHABLE "unreachable" NotInSync "No relay answered.";
    DNS "dns" NotInSync "A relay's name could not be resolved.";
    PORT_CLOSED "port_closed" NotInSync "A relay's port is closed.";
    NOT_IN_SYNC "not_in_sync" NotInSync "The session ended before both sides were equal.";
    WRONG_KEY "wrong_key" NotInSync "A relay answered with another key.";
    NEWER_NEEDED "newer_needed" NotInSync "The relay needs a newer version.";

    BUNDLE_NOT "bundle_not" BadInput "The file is no bundle.";
    BUNDLE_NEWER "bundle_newer" BadInput "The bundle is of a newer form.";
    BUNDLE_CUT "bundle_cut" BadInput "The bundle is incomplete.";
    BUNDLE_ALTERED "bundle_altered" BadInput "A byte of the bundle is not as it was signed.";
    BUNDLE_BROKEN "bundle_broken" BadInput "The bundle is signed and holds what no bundle may hold.";
    BUNDLE_OTHER_ORG "bundle_other_org" BadInput "The bundle belongs to another organisation.";
    BUNDLE_NOT_FOR_US "bundle_not_for_us" Refused "The bundle is encrypted to other devices.";
    BUNDLE_SENDER "bundle_sender" Refused "The bundle's sender has no right to bring it.";
    BUNDLE_EARLY "bundle_early" NotInSync "The charter that would judge the bundle has not arrived.";
    BUNDLE_MISSING "bundle_missing" NotInSync "The bundle builds on something that has not arrived.";
    BUNDLE_WAITS "bundle_waits" NotInSync "The bundle builds on something that has not arrived, and waits for it in the folder.";
    BUNDLE_WAITING_FULL "bundle_waiting_full" Failed "The bundle builds on something that has not arrived, and no more may wait.";
    BUNDLE_NOBODY "bundle_nobody" BadInput "Nobody could receive the bundle.";
    BUNDLE_NOTHING_ABOVE "bundle_nothing_above" BadInput "No relay above is known.";
    BUNDLE_UNKNOWN "bundle_unknown" BadInput "No waiting bundle has this id, or several have.";
    BUNDLE_BLANK "bundle_blank" BadInput "The folder knows no units yet.";
    KEY_LINE "key_line" BadInput "A file does not hold the key that is asked for.";
    ROOT_ABSENT "root_absent" BadInput "The root key is not in this folder.";
    ROOT_INSIDE "root_inside" BadInput "The root key would go offline into the folder that it leaves.";
    ROOT_OTHER "root_other" BadInput "It is not the key that the charter names.";
    ROOT_NAMED "root_named" Refused "A new root key was named already.";
    NO_SUCCESSION "no_succession" Refused "The organisation was founded without a succession key.";

    LATER "later" BadInput "The command comes with a later version.";
    DIR_TAKEN "dir_taken" BadInput "The folder holds an organisation already.";
    BAD_ADDRESS "bad_address" BadInput "An address cannot be read.";
    NO_PORT "no_port" Failed "An address cannot be listened at.";
    TICKET_NOT_RELAY "ticket_not_relay" BadInput "The ticket is for a branch, not for a relay.";
    UNKNOWN_ROLE "unknown_role" BadInput "There is no such role.";
    UNKNOWN_DEVICE "unknown_device" BadInput "No device has this id.";
    OWN_DEVICE "own_device" BadInput "A device does not revoke itself.";
    UNKNOWN_COMMIT "unknown_commit" BadInput "No commit in the quarantine has this id, or several have.";
    NOT_NARROWER "not_narrower" BadInput "What is asked for is not less than what is granted.";
    NEEDS_EARLIER "needs_earlier" BadInput "A commit is released only with those before it in its log.";
    BAD_UNIT "bad_unit" BadInput "A unit cannot be added.";
    UNIT_EXISTS "unit_exists" BadInput "The unit is there already.";
    CSV_LEVELS "csv_levels" BadInput "The csv file does not have the columns of a unit list.";
    AUDIT_NOT "audit_not" BadInput "The file is no file of evidence.";
    AUDIT_NEWER "audit_newer" BadInput "The file of evidence is of a newer form.";
    AUDIT_CUT "audit_cut" BadInput "The file of evidence is incomplete.";
    AUDIT_UNREADABLE "audit_unreadable" BadInput "A line of the file of evidence cannot be read.";
    AUDIT_FALSE "audit_false" Damaged "The evidence does not hold.";
    BAD_ROOT_KEY "bad_root_key" BadInput "The argument is no root key.";
    DATE_PAST "date_past" BadInput "A date that must lie ahead is over.";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::i18n;
    use std::collections::BTreeSet;

    #[test]
    fn codes_are_unique_documented_and_have_their_words() {
        let names: BTreeSet<_> = ALL.iter().map(|c| c.name).collect();
        assert_eq!(names.len(), ALL.len());
        for code in ALL {
            assert!(code.about.ends_with('.'), "{}", code.name);
            assert!(code.name.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{}", code.name);
            for kind in ["error", "hint"] {
                assert!(i18n::find(&format!("{kind}.{}", code.name)).is_some(), "{kind}.{}", code.name);
            }
            assert_ne!(code.exit, ExitCode::Done, "{}", code.name);
        }
    }

    #[test]
    fn the_exits_are_those_of_the_contract() {
        let exits = [ExitCode::Done, Failed, BadInput, Refused, NotInSync, Damaged, Interrupted];
        assert_eq!(exits.map(ExitCode::number), [0, 1, 2, 3, 4, 5, 130]);
    }
}
