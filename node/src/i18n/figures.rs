//! Words of `rollup`.
//!
//! It does not: hold the labels of metrics, which are the schema's ids.

use super::Message;
use super::catalogue::m;

#[rustfmt::skip]
pub(super) const FIGURES: &[Message] = &[
    m("cmd.rollup", "Số liệu tổng hợp của đơn vị và mọi cấp dưới, kèm độ đầy đủ", "Figures of a unit and all below, with how complete they are"),
    m("arg.metric", "Một chỉ số", "One metric"),
    m("arg.period", "Một kỳ: 2026, 2026-H1, 2026-Q3, 2026-11, 2026-W47, 2026-11-30, hoặc undated", "One period: 2026, 2026-H1, 2026-Q3, 2026-11, 2026-W47, 2026-11-30, or undated"),
    m("arg.by_unit", "Mỗi đơn vị cấp dưới trực tiếp một dòng", "A row for each unit one level down"),
    m("arg.missing", "Những đơn vị chưa báo cáo, từ bao giờ", "The units that have not reported, and since when"),
    m("arg.check", "Tính lại từ các thay đổi gốc và so với số đang giữ", "Count everything anew from the changes and compare"),
    m("arg.close", "Chốt số của một kỳ đã qua; số đã chốt giữ mãi", "Close a period that is over; what it closes with stands for ever"),

    m("rollup.unit", "Đơn vị", "Unit"),
    m("rollup.own", "{unit} (riêng)", "{unit} (itself)"),
    m("rollup.metric", "Chỉ số", "Metric"),
    m("rollup.period", "Kỳ", "Period"),
    m("rollup.value", "Giá trị", "Value"),
    m("rollup.ratio", "Tỷ lệ", "Ratio"),
    m("rollup.of", "{percent} % của {over} = {value}", "{percent} % of {over} = {value}"),
    m("rollup.above", "{percent} % của {over} = {value} (TRÊN 100 %)", "{percent} % of {over} = {value} (ABOVE 100 %)"),
    m("rollup.no_over", "chưa có {over} để so", "no {over} to divide by"),
    m("rollup.coverage", "Đã báo cáo", "Reported"),
    m("rollup.oldest", "Cũ nhất", "Oldest input"),
    m("rollup.closed", "Chốt", "Closed"),
    m("rollup.reported", "{reported}/{expected}", "{reported}/{expected}"),
    m("rollup.none", "Danh mục này chưa khai báo chỉ số nào cho cấp này.", "The schema declares no metric for this level."),
    m("rollup.all_reported", "Mọi đơn vị đã báo cáo.", "All units have reported."),
    m("rollup.since", "Vắng từ", "Missing since"),
    m("rollup.heard", "Tin gần nhất", "Last heard of"),
    m("rollup.never", "chưa bao giờ", "never"),
    m("rollup.corrected", "{unit}, {metric} {period}{by}: đã chốt, sau đó {old} thành {new} ngày {at}, do máy {author} của {of}", "{unit}, {metric} {period}{by}: closed, then {old} became {new} at {at}, by device {author} of {of}"),
    m("rollup.too_large", "{unit}, {metric}: có đơn vị cấp dưới có số liệu quá lớn để gửi (FIGURES_SAID_MAX); chưa tính vào.", "{unit}, {metric}: a unit below has figures too large to travel (FIGURES_SAID_MAX); they are not in."),
    m("rollup.check_ok", "{count} chỉ số: hai cách tính cho cùng kết quả đến chữ số cuối.", "{count} metrics: both ways come to the same, to the last digit."),
    m("rollup.check_line", "{unit}, {metric} {period}{by}: đang giữ {kept}, tính lại {counted}", "{unit}, {metric} {period}{by}: kept {kept}, counted {counted}"),
    m("rollup.closed_done", "Đã chốt {metric} {period} của {unit}.", "{metric} {period} of {unit} is closed."),

    m("error.unknown_metric", "Không có chỉ số '{name}'.", "There is no metric '{name}'."),
    m("hint.unknown_metric", "{nearest}Các chỉ số: {known}", "{nearest}The metrics: {known}"),
    m("error.bad_period", "'{period}' không phải là một kỳ.", "'{period}' is no period."),
    m("hint.bad_period", "Viết như 2026, 2026-H1, 2026-Q3, 2026-11, 2026-W47 hoặc 2026-11-30.", "Write one like 2026, 2026-H1, 2026-Q3, 2026-11, 2026-W47 or 2026-11-30."),
    m("error.other_period", "Chỉ số '{metric}' không tính theo kỳ như '{period}' (kỳ của nó: {kind}).", "The metric '{metric}' is not kept by a period like '{period}' (its period: {kind})."),
    m("hint.other_period", "Bỏ --period để xem các kỳ của chỉ số.", "Leave --period out to see the metric's periods."),
    m("error.period_open", "Kỳ {period} chưa hết nên chưa chốt được.", "The period {period} is not over and cannot be closed yet."),
    m("hint.period_open", "Chốt sau khi kỳ kết thúc; trước đó xem bằng: rollup DIR", "Close it when it is over; until then look at it with: rollup DIR"),
    m("error.period_closed", "Kỳ {period} của '{metric}' đã chốt; số đã chốt giữ mãi.", "The period {period} of '{metric}' was closed already, and stands for ever."),
    m("hint.period_closed", "Thay đổi sau khi chốt hiện thành dòng sửa trong: rollup DIR --metric {metric}", "What changes afterwards shows as a line of correction in: rollup DIR --metric {metric}"),
    m("error.metric_reach", "Chỉ số '{name}' không hiển thị ở cấp này.", "The metric '{name}' is not shown at this level."),
    m("hint.metric_reach", "Hỏi đơn vị cấp dưới giữ số liệu đó, hoặc sửa 'reach' trong danh mục.", "Ask a unit below that keeps it, or change its 'reach' in the schema."),
    m("error.figures_differ", "{count} số liệu tính lại khác với số đang giữ.", "{count} figures counted anew are others than those kept."),
    m("hint.figures_differ", "Chạy '{program} verify DIR --repair' để lập lại cơ sở dữ liệu từ các thay đổi gốc.", "Run '{program} verify DIR --repair' to make the database anew from the changes."),
    m("right.figures", "xem hoặc chốt số liệu của {unit}", "see or close the figures of {unit}"),
];
