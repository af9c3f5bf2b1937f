//! Words of `schema …`, and of a schema that is older or newer than what it is asked for.
//!
//! It does not: hold what is wrong in a schema file, which its author reads in English beside the line.

use super::Message;
use super::catalogue::m;

#[rustfmt::skip]
pub(super) const SCHEMA: &[Message] = &[
    m("cmd.schema", "Lược đồ của tổ chức: có những loại hồ sơ nào", "The organisation's schema: which collections there are"),
    m("cmd.schema.publish", "Công bố bản mới của lược đồ; chỉ được thêm, ẩn, đổi tên gọi", "Publish the next version of the schema; it may only add, hide and relabel"),
    m("cmd.schema.check", "Kiểm tra tệp lược đồ, từng lỗi theo dòng; có DIR: có thể thay bản đang dùng không", "Look a schema file over, each error with its line; with DIR also whether it may follow"),
    m("cmd.schema.show", "Lược đồ đang dùng", "The schema in force"),
    m("arg.schema_file", "Tệp lược đồ", "The schema file"),
    m("arg.schema_dir", "Thư mục Sampan có lược đồ sẽ được thay", "The Sampan folder whose schema it is to follow"),
    m("arg.source", "In tệp đã công bố, để sửa thành bản sau", "Print the file that was published, to write the next version from"),

    m("schema.name", "Lược đồ", "Schema"),
    m("schema.version", "Bản", "Version"),
    m("schema.levels", "Các cấp", "Levels"),
    m("schema.collection", "Loại", "Collection"),
    m("schema.label", "Tên gọi", "Label"),
    m("schema.flow", "Hướng đi", "Flow"),
    m("schema.reach", "Đến cấp", "Reach"),
    m("schema.fields", "Số trường", "Fields"),
    m("schema.sound", "{file}: đúng; {collections} loại hồ sơ, {fields} trường, {metrics} chỉ số.", "{file} is sound: {collections} collections, {fields} fields, {metrics} metrics."),
    m("schema.may_follow", "Có thể thay bản đang dùng.", "It may follow the version in force."),
    m("schema.not_compared", "Chưa so với bản đang dùng; thêm DIR để so.", "It was not compared with the version in force; name a DIR for that."),
    m("schema.published", "Đã công bố lược đồ {name} bản {version}; cấp dưới nhận được khi đồng bộ.", "Version {version} of {name} is published; the levels below get it when they sync."),
    m("schema.news_collection", "thêm loại {path}", "new collection {path}"),
    m("schema.news_field", "thêm trường {path}", "new field {path}"),
    m("schema.news_choice", "thêm lựa chọn {path}", "new choice {path}"),
    m("schema.news_hidden", "ẩn trường {path}", "hidden field {path}"),
    m("schema.news_label", "đổi tên gọi {path}", "new label of {path}"),
    m("schema.news_metric", "thêm chỉ số {path}", "new metric {path}"),
    m("schema.news_level", "thêm cấp {path}", "new level {path}"),
    m("schema.here", " Lược đồ ở đây là bản {version}; bản mới hơn, nếu có, đến khi đồng bộ với cấp trên.", " The schema here is version {version}; a newer one, if there is one, comes with the next sync."),

    m("schema.newer_kept", "Lược đồ của tổ chức là bản {version}, Sampan ở máy này chưa đọc được; đang dùng bản {read}. Hãy cài bản Sampan mới hơn (schema_newer).", "The organisation's schema is version {version}, which this Sampan does not read; it goes by version {read}. Install the newer Sampan (schema_newer)."),

    m("right.schema", "công bố lược đồ; phải là quản trị (admin) của {unit}", "publish a schema, which takes an admin of {unit}"),
    m("error.schema_follow", "{file} không thể thay lược đồ bản {version} đang dùng: {count} chỗ.", "{file} may not follow version {version} of the schema, for {count} reasons."),
    m("hint.schema_follow", "Sửa các chỗ trên; lấy tệp đang dùng bằng: sampan-relay schema show DIR --source. Chưa có gì được công bố.", "Correct these; the file in force is printed by: sampan-relay schema show DIR --source. Nothing was published."),
    m("error.schema_newer", "Lược đồ của tổ chức (bản {version}) cần Sampan mới hơn.", "The organisation's schema (version {version}) needs a newer Sampan."),
    m("hint.schema_newer", "Cài bản Sampan mới hơn; dữ liệu vẫn an toàn.", "Install the newer Sampan; your data is safe."),
];
