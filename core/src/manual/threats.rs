//! The threat model: what each party can do, what it cannot, and the test that shows it.
//!
//! It does not: promise what no test shows. A line without a test says *remains*.
//!
//! Invariants: every line of a table ends with the names of tests of this repository, or with *remains*; a
//! test (`every_line_of_the_threat_model_names_a_test_that_exists`) reads this page and looks for them. To
//! add a line, write it in the party's table with the test's name in back quotes.
//!
//! What is protected: records are not lost, not changed under another's name, not read by those whom the
//! charter gives no right, and what was decided above is not undone below. What it rests on: ed25519,
//! BLAKE3, SHA-256 and TLS 1.3; the root key is where its holder keeps it; a device's key is as safe as
//! its machine.
//!
//! # Outsider on the wire
//!
//! Sees addresses, times and sizes of datagrams; may drop, delay, change and send any.
//!
//! | | what | test |
//! | --- | --- | --- |
//! | cannot | speak as a relay or a device: both ends prove their keys, and a key is who one is | `another_key_at_the_address_is_refused_by_name`, `both_ends_know_each_other_and_a_server_can_dial` |
//! | cannot | come in without a grant | `a_stranger_is_refused_at_the_door` |
//! | cannot | use a resumed connection to be another | `resumed_sessions_still_name_the_peer` |
//! | cannot | break a session with bytes of its own making, once in: garbage ends it with a reason and changes nothing | `garbage_ends_a_session_with_a_reason_and_changes_nothing`, `broken_framing_closes_the_connection_with_a_sentence` |
//! | cannot | make a relay fold its charter, or keep anything, by signing what it likes | `a_chain_of_strangers_is_not_worth_a_fold_and_an_honest_one_is` |
//! | cannot | fill a relay's memory before it has said who it is | `a_stranger_without_a_hello_cannot_fill_a_relays_memory` |
//! | cannot | keep a relay busy with refusals: so many at one address, and unknown keys there wait, known ones do not | `strangers_who_are_refused_again_and_again_wait_and_their_neighbours_do_not`, `refusals_of_an_address_are_counted_and_forgiven` |
//! | cannot | be answered at another's address under load | `under_load_strangers_prove_their_address_first` |
//! | cannot | use a ticket that was used, cut or altered | `a_ticket_is_used_once`, `tickets_that_are_cut_altered_used_or_of_another_organisation` |
//! | can | cut a link again and again; what was sent whole stays, and a cut resumes | `a_cut_link_resumes_and_sends_nothing_twice`, `a_load_cut_every_10_seconds_goes_on_where_it_was_in_both_directions` |
//! | can | keep a link half open: nobody then says *verified* | `on_a_half_open_link_nobody_says_verified_and_once_whole_both_do` |
//! | cannot | read, change or shorten a bundle on a stick that it finds, or put its name to it | `who_is_no_receiver_sees_that_it_is_whole_and_nothing_more`, `every_prefix_is_incomplete_and_every_flipped_bit_is_seen`, `another_signer_cannot_put_its_name_to_it` |
//! | can | use a ticket before its holder does, if it reads the line: whoever has the line has the right | remains |
//! | can | hold the whole path closed for as long as it likes | remains |
//!
//! # Stolen or lost PC
//!
//! Has the disk: the branch's records and the device's keys.
//!
//! | | what | test |
//! | --- | --- | --- |
//! | cannot | come in once it is revoked, and is told why | `a_revoked_device_is_refused_and_told_why`, `a_revoked_device_is_refused_at_the_door` |
//! | cannot | make count what it writes outside its cut, whoever carries it | `what_a_stolen_device_writes_later_counts_nowhere_whoever_carries_it`, `a_stolen_pc_is_cut_off_and_what_was_right_is_released` |
//! | cannot | receive anything once it is revoked but its own cut and word of its own commits, on a resumed connection or a new one | `what_an_old_pc_had_not_sent_is_handed_in_released_and_reaches_the_new_pc`, `a_running_pc_is_cut_off_at_once_and_its_next_link_is_a_deposit` |
//! | cannot | hand in grants, cuts or others' work through the deposit, or flood it | `a_deposit_takes_no_charter_and_nobody_elses_work_and_tells_nothing_else`, `a_deposit_is_bounded_and_a_flood_of_it_is_cut` |
//! | cannot | take the rightful holder's unsent work out of the world: if it comes back, that is handed in and released | `a_stolen_pc_comes_back_deposits_and_what_was_right_reaches_the_new_pc` |
//! | can | hand in for a month after its `--until`, with dates that it invents, what then counts until it is cut: no clock decides a right | remains |
//! | cannot | use keys that a passphrase seals; wrong ones are slowed, and harm nothing | `a_passphrase_locks_the_keys_and_is_given_once_a_daemon`, `wrong_tries_are_counted_slowed_and_forgotten_when_the_right_words_come` |
//! | cannot | have its keys opened by the level above once its right has ended, or without the code that the operator hears | `foreign_and_ended_devices_are_not_answered`, `the_district_opens_a_branch_whose_secretary_forgot` |
//! | cannot | find a name, a number or the database key in any byte of a locked folder, its journals, free pages and backups included, where the program was built with encryption (these two tests run by `.ci/run encryption`) | `no_byte_of_a_locked_folder_holds_a_name_of_a_member`, `the_same_search_finds_the_names_in_a_plain_folder_until_it_is_encrypted` |
//! | can | read the records on its disk where the program was built without encryption or the keys have no passphrase, and those in the memory and swap of a PC that runs | remains |
//! | cannot | invite another device, or write for another unit | `a_branch_cannot_invite`, `a_reader_cannot_write_and_a_branch_cannot_write_elsewhere` |
//! | cannot | see more than the branch's scope held: siblings never were there | `a_sibling_never_sees_what_is_not_its_own` |
//! | cannot | write on two copies of the disk as one: they part, and nothing is lost | `a_cloned_folder_writes_under_a_name_of_its_own`, `a_cloned_disk_that_nobody_noticed_forks_its_log_and_loses_nothing` |
//! | cannot | take the branch's work away: the relays hold what was acknowledged | `a_relay_killed_in_the_middle_loses_nothing_it_acknowledged` |
//! | cannot | have what it wrote outside its cut pass for standing in a file of evidence | `what_lies_outside_a_cut_is_shown_as_such_by_both_verifiers`, `a_maker_that_shows_what_a_cut_leaves_out_as_standing_is_found_out` |
//! | cannot | keep what was erased on request: it becomes holes with the next sync, whatever was edited meanwhile | `a_branch_that_edits_offline_what_is_erased_above_keeps_nothing_of_it`, `a_restored_backup_loses_it_at_its_first_sync_and_a_newer_one_before_its_first_read` |
//! | can | keep what was erased, if it never syncs again or its holder kept a copy: it stays listed as not confirmed | `every_device_that_may_hold_it_is_listed_until_it_has_said_that_it_is_gone` |
//! | can | with an admin's key, erase for ever what lies below it, and by a word that it hands over after its cut as well: an erasure that stood is never taken back | remains |
//! | cannot | hide behind its revocation: what it wrote stays evidence of its key | `who_did_what_is_shown_to_one_who_has_only_the_root_key` |
//!
//! # Curious branch
//!
//! A rightful device that wants to know more than it may.
//!
//! | | what | test |
//! | --- | --- | --- |
//! | cannot | hold a sibling's records, names of units' nodes or digests | `a_sibling_never_sees_what_is_not_its_own`, `a_node_of_a_sibling_is_shown_to_nobody` |
//! | cannot | send or ask outside the scope that it shares with its relay | `a_peer_that_sends_outside_the_shared_scope_is_told_and_cut`, `who_holds_what_is_as_the_model_says` |
//! | cannot | find what was erased in any file of its folder, or bring it back with an old bundle or backup | `what_is_erased_is_in_no_file_of_any_folder_and_nothing_brings_it_back`, `a_late_bundle_brings_nothing_back`, `the_name_of_a_holder_is_erased_from_every_folder` |
//! | cannot | see what does not reach its level | `what_reaches_only_the_district_is_not_at_the_city` |
//! | cannot | have a file of a record that it may not read by asking for its address, whether it came to the relay by a link or a bundle; what it offers, forges or floods of files is not kept | `a_device_that_may_not_read_the_record_does_not_get_its_file_by_the_address`, `forged_words_about_files_are_not_believed`, `questions_that_cannot_be_end_the_link_and_floods_are_bounded` |
//! | can | have a file of which it knows the address, once read in a record that it could see then or told by one who may, by naming it in a record of its own: an address is as secret as its content | remains |
//! | can | read the charters of its own line up to the root: names of units above, grants by key, no holders' names of others | remains |
//!
//! # Dishonest relay
//!
//! Holds, by its right, everything of its unit and below; wants to change, hide or undo.
//!
//! | | what | test |
//! | --- | --- | --- |
//! | cannot | change a record or write under another's name: every hop checks the author | `author_check_skipped`, `a_change_that_calls_itself_computed_is_not_written_in_anothers_name` |
//! | cannot | claim for another relay that it holds something, or claim what it lost | `ticks_tell_the_truth_level_by_level`, `a_tick_lapses_when_the_relay_says_hello_from_another_store` |
//! | cannot | make a device go back: charters only grow, and going back is noticed and said | `a_relay_that_goes_back_behind_what_it_showed_is_noticed_and_said` |
//! | cannot | make old news of the city look young | `a_relay_that_withholds_what_the_city_decided_is_betrayed_by_the_age_of_the_citys_news` |
//! | cannot | speak for a level that it is not the relay of | `only_relays_above_are_heard_and_a_chain_of_them_is_bounded` |
//! | cannot | say *verified* where nothing is shared, or before all arrived | `two_ends_that_share_nothing_never_say_verified`, `verified_too_early` |
//! | cannot | doctor evidence: a changed, moved or added entry shows, though it signs the file | `a_maker_that_lies_is_found_out_although_it_signs_what_it_changed` |
//! | cannot | make holes of what nobody erased: only an entry of an admin that stands accounts for one | `a_hole_that_was_made_by_nobody_with_a_right_is_not_believed`, `who_is_no_admin_of_the_unit_erases_nothing` |
//! | cannot | lose the work by being lost: children and parent refill its successor | `an_empty_relay_takes_a_charter_and_is_refilled_by_its_children` |
//! | can | open the keys of a folder below it, if it has that folder or a request from it: that is what its recovery rests on | `the_district_opens_a_branch_whose_secretary_forgot` |
//! | can | delay and withhold, up and down. Its children see how old the news from the top is (`status`), their missing ticks above it, and may dial the next relay | `a_branch_knows_how_old_the_news_of_the_city_is_though_it_speaks_only_to_its_district` |
//! | can | leave the newest changes out of a file of evidence that it makes | remains |
//! | can | let in at its own door whom others have revoked, as long as it withholds the revocation from itself | remains |
//! | can | lie about when it first saw a change: that is its own signed word | remains |
//!
//! # Former secretary
//!
//! Had the right, and kept a device, a ticket or a copy.
//!
//! | | what | test |
//! | --- | --- | --- |
//! | cannot | use a ticket again, or after its day | `a_ticket_is_used_once`, `an_expired_ticket_is_refused_by_the_relay_and_only_there` |
//! | cannot | void its own revocation by revoking back: two who do are both revoked, alike everywhere | `two_admins_who_revoke_each_other_are_both_revoked_and_what_was_written_stays`, `mutual_revocations_and_grants_beside_them_fold_alike` |
//! | cannot | give rights that count once it is cut, or void its cut by cutting back | `what_lies_inside_a_cut_stands_and_what_lies_outside_gives_nothing`, `two_admins_who_cut_each_other_are_both_cut` |
//! | cannot | rule with the first root key once the succession key has named another | `a_new_root_key_rules_and_the_old_one_can_do_nothing_new` |
//! | can | with the first root key itself, sign a second founding beside the first | remains |
//! | cannot | put an old backup back and undo what came since | `an_old_backup_takes_its_own_commits_back`, `an_old_copy_put_back_takes_its_own_commits_back_and_goes_on` |
//! | cannot | deny what it wrote | `a_file_says_who_did_what_and_holds_under_the_root_key_alone` |
//! | can | date what it wrote as it likes; both times are shown, and the second is the relay's | `who_did_what_is_shown_to_one_who_has_only_the_root_key` |
//! | can | keep and show what it could read | remains |
//!
//! # Hostile author
//!
//! A rightful editor who wants to break, fill or confuse other replicas.
//!
//! | | what | test |
//! | --- | --- | --- |
//! | cannot | crash or damage a record elsewhere: every trick known is refused at the door of admission | `every_trick_becomes_what_the_design_says_and_hurts_nobody`, `what_passes_the_door_does_not_harm_automerge` |
//! | cannot | make replicas differ: what stands depends on the set of changes alone | `any_set_has_one_meaning`, `none_changes_what_becomes_of_another_in_any_order` |
//! | cannot | write where it has no right: that is kept aside, shown to nobody, and bounded | `a_commit_without_right_is_kept_aside_and_shown_to_nobody`, `a_commit_whose_parent_a_full_quarantine_refused_costs_its_bearer_nothing` |
//! | cannot | write a collection that its grant leaves out | `what_a_grant_does_not_let_write_is_set_aside_at_every_hop_until_a_grant_does` |
//! | cannot | go on in a collection that was taken from it, whoever carries it, also to who joins later; a later grant lets in nothing of what it wrote meanwhile | `what_is_written_in_a_collection_that_was_taken_counts_nowhere_whoever_carries_it`, `a_widening_gives_the_collection_back_for_what_is_written_after_it_and_not_for_what_lies_between`, `what_is_written_past_a_narrowing_is_listed_told_by_both_verifiers_and_released` |
//! | can | be given what one admin takes by another who has not heard of it: rights given beside a narrowing go on | remains |
//! | cannot | move an entry to another record, or claim a record's id before its creation | `a_claim_that_comes_before_a_record_does_not_say_where_it_belongs`, `what_fails_admission_is_malformed_everywhere_and_never_shown` |
//! | cannot | make a reader allocate what it only claims | `claims_of_huge_lengths_cost_nothing`, `a_bomb_costs_no_more_than_it_inflates_to` |
//! | cannot | hold many links open at a relay | `a_device_that_opens_link_after_link_keeps_only_the_newest`, `a_device_has_so_many_links_and_the_oldest_goes_first` |
//! | cannot | bring more than its quota: it is told when to come back, what arrived is kept, siblings are served | `a_load_over_the_quota_is_told_when_to_come_back_and_finishes_and_no_sibling_waits`, `a_device_over_its_quota_waits_and_is_let_in_again_and_others_do_not_wait` |
//! | cannot | take more than its share of a relay's time while others work | `a_device_over_its_share_rests_while_others_work_and_only_then`, `a_group_takes_from_every_link_before_it_takes_much_from_one` |
//! | cannot | dial again and again: it waits, and handshakes at its address go the slow way | `a_device_that_dials_again_and_again_waits_and_its_neighbours_do_not`, `where_a_device_dials_too_often_handshakes_wait_and_only_there` |
//! | cannot | make a web page or a terminal run its words | `names_cannot_write_markup` |
//! | can | write nonsense in its own unit's records, within the limits, as fast as its link and relay take it | remains |
