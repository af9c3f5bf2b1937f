//! Messages of `sampan-relay`: founding, units, invitations, devices, children.
//!
//! It does not: repeat what a branch says too (see `words`, `errors` and `help`).

use super::Message;
use super::catalogue::m;

#[rustfmt::skip]
pub(super) const RELAY: &[Message] = &[
    m("right.relay", "làm máy chủ cấp trên (chạy 'sampan run DIR' cho chi bộ)", "serve as a relay (for a branch: 'sampan run DIR')"),
    m("relay.web", "Trang trạng thái: http://{address}/", "Status page: http://{address}/"),
    m("relay.everyday", "\
Năm lệnh hay dùng của cấp trên (DIR là thư mục Sampan):

  {program} init DIR --org TÊN                     lập một tổ chức mới
  {program} unit add DIR --from TỆP.csv            thêm các đơn vị
  {program} invite DIR --unit ĐƠN_VỊ --role editor --holder TÊN   tạo vé mời
  {program} run DIR                                chạy nền, nhận kết nối của cấp dưới
  {program} status DIR                             cấp dưới nào đã đồng bộ, cái gì chưa tới

Mọi lệnh khác: {program} --help", "\
The five everyday commands of a relay (DIR is the Sampan folder):

  {program} init DIR --org NAME                    found a new organisation
  {program} unit add DIR --from FILE.csv           add units
  {program} invite DIR --unit UNIT --role editor --holder NAME    make a ticket
  {program} run DIR                                run in the background, accept lower levels
  {program} status DIR                             who is in sync, what has not arrived

All other commands: {program} --help"),

    // Help.
    m("cmd.init", "Lập một tổ chức mới: khoá gốc, đơn vị gốc, lược đồ", "Found a new organisation: root key, root unit, schema"),
    m("cmd.unit", "Các đơn vị của tổ chức", "The units of the organisation"),
    m("cmd.unit.add", "Thêm đơn vị, từng cái hoặc từ tệp csv", "Add units, one or from a csv file"),
    m("cmd.unit.list", "Liệt kê các đơn vị", "List the units"),
    m("cmd.unit.rename", "Đổi tên đơn vị (bản sau)", "Rename a unit (a later version)"),
    m("cmd.unit.move", "Chuyển đơn vị sang cấp trên khác (bản sau)", "Move a unit below another parent (a later version)"),
    m("cmd.unit.merge", "Nhập các đơn vị (bản sau)", "Merge units (a later version)"),
    m("cmd.unit.split", "Tách đơn vị (bản sau)", "Split a unit (a later version)"),
    m("cmd.unit.dissolve", "Giải thể đơn vị (bản sau)", "Dissolve a unit (a later version)"),
    m("cmd.unit.reorganise", "Sắp xếp lại nhiều đơn vị từ một tệp (bản sau)", "Rearrange many units from a file (a later version)"),
    m("cmd.invite", "Tạo vé mời cho một máy vào một đơn vị", "Make a ticket for one device and one unit"),
    m("cmd.devices", "Các máy, người giữ, quyền, lần cuối nhìn thấy", "Devices, holders, rights, when last seen"),
    m("cmd.revoke", "Thu hồi mọi quyền của một máy; những gì nó ghi từ nay không được tính", "End every right of a device; what it writes from now on does not count"),
    m("cmd.quarantine", "Những gì bị cách ly: xem, nhận lại, từ chối", "What is in quarantine: look, release, reject"),
    m("cmd.quarantine.list", "Liệt kê những gói bị cách ly, vì sao, và cái gì chờ chúng", "List the commits in quarantine, why, and what waits for them"),
    m("cmd.quarantine.show", "Xem một gói bị cách ly", "Show one commit in quarantine"),
    m("cmd.quarantine.release", "Nhận lại: các gói này được tính kể từ nay", "Release: these commits count from now on"),
    m("cmd.quarantine.reject", "Từ chối: các gói này không được tính; không có gì bị xoá", "Reject: these commits do not count; nothing is deleted"),
    m("arg.all", "Cả những gói đã từ chối", "Rejected ones too"),
    m("arg.commit", "Mã gói (ít nhất 6 chữ số đầu)", "The commit's id (its first 6 digits at least)"),
    m("arg.commits", "Mã các gói (ít nhất 6 chữ số đầu)", "The commits' ids (their first 6 digits at least)"),
    m("arg.lost", "Máy bị mất: những gì nó ghi chỉ được tính tới chỗ cấp này đã nhận", "The device is lost: what it wrote counts up to what is held here"),
    m("arg.retire", "Máy đã bàn giao: những gì nó ghi chỉ được tính tới chỗ cấp này đã nhận", "The device's post was handed over: what it wrote counts up to what is held here"),
    m("cmd.rollup", "Số liệu tổng hợp (bản sau)", "Summed up figures (a later version)"),
    m("cmd.silent", "Cấp dưới nào im lặng (bản sau)", "Who has been silent (a later version)"),
    m("arg.org", "Tên tổ chức", "The organisation's name"),
    m("arg.schema", "Tệp lược đồ (mặc định: membership có sẵn)", "The schema file (default: the built-in membership)"),
    m("arg.name", "Tên đơn vị", "The unit's name"),
    m("arg.parent", "Đơn vị cấp trên: mã, đường dẫn hoặc tên (mặc định: gốc)", "The parent: code, path or name (default: the root)"),
    m("arg.code", "Mã đơn vị, giữ nguyên các số 0 ở đầu", "The unit's code; leading zeros are kept"),
    m("arg.kind", "Cấp của đơn vị, ví dụ district", "The unit's kind: the name of a level, such as district"),
    m("arg.levels", "Các cột của tệp là các cấp dưới đơn vị cấp trên, ví dụ district,ward", "Columns that are levels below the parent, such as district,ward"),
    m("arg.tree", "Thụt dòng theo cấp", "Indent by level"),
    m("arg.role", "Quyền: admin, relay, editor, reader, inspector", "Role: admin, relay, editor, reader, inspector"),
    m("arg.holder", "Người giữ máy", "Who holds the device"),
    m("arg.subtree", "Quyền có hiệu lực cả với các đơn vị bên dưới", "The rights hold for the units below too"),
    m("arg.until", "Quyền có hiệu lực đến hết ngày", "The rights end with this day"),
    m("arg.use_by", "Vé dùng được đến hết ngày (mặc định: 30 ngày)", "The ticket works until this day (default: 30 days)"),
    m("arg.device", "Mã máy (đủ dài để không nhầm)", "The device's id (enough of it to be sure)"),
    m("arg.reason", "Lý do", "Why"),
    m("arg.rest", "Các tham số của bản sau", "Arguments of a later version"),

    // Results.
    m("org.organisation", "Tổ chức", "Organisation"),
    m("org.unit", "Đơn vị", "Unit"),
    m("org.device", "Máy", "Device"),
    m("init.done", "Đã lập tổ chức '{name}'. Cất bản sao của {key} ở nơi an toàn: ai có khoá này là chủ tổ chức.", "Founded the organisation '{name}'. Keep a copy of {key} in a safe place: who has this key owns the organisation."),
    m("init.listen", "Nhận kết nối ở {listen}; báo cho cấp dưới: {addresses}", "Accepts at {listen}; lower levels are told: {addresses}"),
    m("units.unit", "Mã Sampan", "Unit"),
    m("units.code", "Mã", "Code"),
    m("units.name", "Tên", "Name"),
    m("units.kind", "Cấp", "Kind"),
    m("units.parent", "Cấp trên", "Parent"),
    m("units.since", "Từ", "Since"),
    m("units.until", "Đến", "Until"),
    m("units.status", "Trạng thái", "Status"),
    m("units.added", "Đã thêm {count} đơn vị; {there} đơn vị đã có từ trước.", "{count} units added; {there} were there already."),
    m("units.kind_new", "Lưu ý: '{kind}' không phải là một cấp của lược đồ ({known}); đơn vị thuộc cấp theo độ sâu.", "Note: '{kind}' is no level of the schema ({known}); the unit's level is its depth."),
    m("invite.done", "Vé mời cho {holder}, đơn vị {unit}, quyền {roles}; dùng một lần, trước {use_by}. Ai có vé là có quyền: chỉ gửi cho người đó.", "A ticket for {holder}, unit {unit}, role {roles}; works once, before {use_by}. Who has the ticket has the right: send it to that person alone."),
    m("invite.no_relay", "Lưu ý: chưa có cấp trên nào công bố địa chỉ; máy này sẽ chưa kết nối được.", "Note: no relay has published an address yet; the device will have nobody to dial."),
    m("relay.joined", "Địa chỉ của cấp trung gian này được công bố khi chạy: {program} run DIR", "The address of this relay is published when it runs: {program} run DIR"),
    m("devices.device", "Máy", "Device"),
    m("devices.holder", "Người giữ", "Holder"),
    m("devices.role", "Quyền", "Role"),
    m("devices.from", "Từ", "From"),
    m("devices.until", "Đến", "Until"),
    m("devices.revoked", "Thu hồi", "Revoked"),
    m("devices.last_seen", "Lần cuối thấy", "Last seen"),
    m("revoke.done", "Đã thu hồi mọi quyền của máy {device}. Những gì nó đã ghi được tính tới chỗ máy này đang giữ ({logs} sổ); những gì tới sau bị cách ly: sampan-relay quarantine DIR list", "Revoked every right of the device {device}. What it wrote counts up to what is held here ({logs} logs); what comes later goes into quarantine: sampan-relay quarantine DIR list"),
    m("revoke.already", "Máy {device} đã bị thu hồi quyền từ trước.", "The device {device} was revoked already."),
    m("quarantine.commit", "Gói", "Commit"),
    m("quarantine.holder", "Người giữ", "Holder"),
    m("quarantine.unit", "Đơn vị", "Unit"),
    m("quarantine.at", "Ghi lúc", "Made"),
    m("quarantine.since", "Cách ly từ", "Here since"),
    m("quarantine.entries", "Mục", "Entries"),
    m("quarantine.blocks", "Đang chờ nó", "Waits for it"),
    m("quarantine.reason", "Vì sao", "Why"),
    m("quarantine.needs", "Cần cả", "Needs"),
    m("quarantine.state", "Trạng thái", "State"),
    m("quarantine.released", "Đã nhận lại {count} gói; chúng được tính ở mọi nơi khi tin này tới.", "Released {count} commits; they count everywhere that this reaches."),
    m("quarantine.rejected", "Đã từ chối {count} gói; chúng vẫn được giữ và có thể nhận lại sau.", "Rejected {count} commits; they are kept and may still be released."),
    m("children.title", "Cấp dưới", "Children"),
    m("children.unsent", "Chưa gửi", "Unsent"),
    m("children.verified", "Xác nhận đồng bộ", "Verified"),
    m("children.none", "Chưa có máy cấp dưới nào.", "No device below yet."),
    m("children.lag", "Danh sách còn chậm {count} gói so với dữ liệu đã nhận", "Lists are {count} commits behind what was received"),

    // What may be wrong with a unit.
    m("unit.no_name", "thiếu tên", "the name is missing"),
    m("unit.gap", "cấp này trống mà cấp dưới nó có tên", "this level is empty but a lower one is not"),
    m("unit.name_long", "tên hoặc mã dài hơn {limit} byte", "a name or code longer than {limit} bytes"),
    m("unit.code_taken", "mã '{code}' đang được '{by}' dùng", "the code '{code}' is in use by '{by}'"),
    m("unit.other_name", "mã '{code}' ở cấp trên này là '{by}', không phải '{name}'", "the code '{code}' below this parent is '{by}', not '{name}'"),
    m("unit.several", "cấp trên này có nhiều đơn vị tên '{name}'; ghi rõ mã", "this parent has several units named '{name}'; give the code"),
    m("unit.kind_above", "cấp '{kind}' không nằm dưới cấp của đơn vị cấp trên", "the kind '{kind}' is not below the parent's"),
    m("unit.too_deep", "cây chỉ có tối đa {limit} cấp", "the tree has at most {limit} levels"),
    m("unit.no_parent", "không tìm thấy đơn vị cấp trên '{name}'. {nearest}", "there is no parent '{name}'. {nearest}"),
    m("unit.parents", "có nhiều đơn vị '{name}'; ghi mã hoặc đường dẫn", "several units are '{name}'; give the code or the path"),
    m("unit.twice", "trùng với dòng {line}", "the same unit as in line {line}"),
    m("right.invite", "mời vào đơn vị {unit}", "invite to the unit {unit}"),
    m("right.outlast", "cấp quyền lâu hơn quyền của chính nó", "grant more than it has, or for longer"),
    m("right.units", "thêm đơn vị dưới {unit}", "add units below {unit}"),
    m("right.quarantine", "quyết định về những gì bị cách ly của {unit}", "decide about the quarantine of {unit}"),
    m("right.revoke", "thu hồi quyền của máy đó", "revoke that device"),

    // Errors.
    m("error.later", "'{command}' sẽ có trong bản sau; bản này chưa làm được.", "'{command}' comes with a later version; this one cannot do it yet."),
    m("hint.later", "Chưa có gì thay đổi. Các lệnh có trong bản này: {program} --help", "Nothing was changed. What this version can do: {program} --help"),
    m("error.dir_taken", "{dir} đã là thư mục của một tổ chức.", "{dir} holds an organisation already."),
    m("hint.dir_taken", "Chọn một thư mục khác; thư mục này được giữ nguyên.", "Choose another folder; this one was left alone."),
    m("error.bad_address", "'{given}' không phải là địa chỉ.", "'{given}' is not an address."),
    m("hint.bad_address", "Viết máy:cổng, ví dụ relay.example.org:7447 hoặc 192.168.1.5:7447.", "Write host:port, such as relay.example.org:7447 or 192.168.1.5:7447."),
    m("error.no_port", "Không dùng được địa chỉ {address}: {reason}.", "The address {address} cannot be used: {reason}."),
    m("hint.no_port", "Chọn địa chỉ khác của máy này với --listen.", "Choose another address of this machine with --listen."),
    m("error.ticket_not_relay", "Vé mời này không cấp quyền làm cấp trung gian (relay).", "This ticket gives no relay right."),
    m("hint.ticket_not_relay", "Vé cho người dùng thường: sampan join DIR VÉ", "It is for a branch: sampan join DIR TICKET"),
    m("error.unknown_role", "Không có quyền '{name}'.", "There is no role '{name}'."),
    m("hint.unknown_role", "{nearest}Các quyền: {known}.", "{nearest}The roles: {known}."),
    m("error.unknown_device", "Không có máy '{name}'.", "There is no device '{name}'."),
    m("hint.unknown_device", "{nearest}Xem các máy bằng: sampan-relay devices DIR", "{nearest}See the devices with: sampan-relay devices DIR"),
    m("error.unknown_commit", "Không có đúng một gói bị cách ly có mã '{name}'.", "Not exactly one commit in quarantine has the id '{name}'."),
    m("hint.unknown_commit", "Xem các gói bằng: sampan-relay quarantine DIR list --all (ghi ít nhất 6 chữ số).", "See them with: sampan-relay quarantine DIR list --all (give at least 6 digits)."),
    m("error.needs_earlier", "Gói {name} nối tiếp những gói cũng bị cách ly: {needed}.", "The commit {name} continues others in quarantine: {needed}."),
    m("hint.needs_earlier", "Xem chúng rồi nhận lại tất cả trong một lệnh; chưa có gì thay đổi.", "Look at them and release all in one command; nothing was changed."),
    m("error.own_device", "Đây chính là máy này; một máy không tự thu hồi quyền của mình.", "This is this very device; a device does not revoke itself."),
    m("hint.own_device", "Làm việc đó từ một máy khác có quyền admin.", "Do it from another admin's device."),
    m("error.bad_unit", "Không thêm được đơn vị '{name}': {reason}.", "The unit '{name}' cannot be added: {reason}."),
    m("hint.bad_unit", "Sửa rồi chạy lại; chưa có gì được ghi. Xem các đơn vị: sampan-relay unit list DIR", "Correct it and run again; nothing was written. See the units: sampan-relay unit list DIR"),
    m("error.unit_exists", "Đã có đơn vị '{name}' ở đó.", "The unit '{name}' is there already."),
    m("hint.unit_exists", "Xem các đơn vị: sampan-relay unit list DIR; hai đơn vị cùng tên cần mã khác nhau (--code).", "See the units: sampan-relay unit list DIR; two units of one name need different codes (--code)."),
    m("error.csv_levels", "{file}: không có cột {columns}.", "{file}: there is no column {columns}."),
    m("hint.csv_levels", "{nearest}Nói rõ cột nào là cấp với --levels A,B, hoặc dùng các cột name, parent, code, kind. Các cột của tệp: {known}.", "{nearest}Say with --levels A,B which columns are levels, or use the columns name, parent, code, kind. The file has: {known}."),
    m("error.date_past", "Ngày {given} đã qua.", "The day {given} is over."),
    m("hint.date_past", "Chọn một ngày sau hôm nay.", "Choose a day after today."),
];
