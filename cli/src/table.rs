//! Tables for a terminal: columns as wide as their widest cell, or the answer as JSON.

use crate::api_client::ApiReply;
use serde_json::Value;

/// The widest cell; what is longer is cut, and `--json` shows all.
const WIDEST: usize = 60;

/// Prints the rows of an answer; `columns` are the titles with the path of each value. True if the API answered.
pub fn print_rows(reply: &ApiReply, columns: &[(&str, &str)], as_json: bool) -> bool {
    if !reply.succeeded() {
        eprintln!("{}", reply.message());
        return false;
    }
    if as_json {
        println!("{}", reply.body["data"]);
        return true;
    }
    let rows = reply.body["data"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut lines = vec![columns.iter().map(|(title, _)| (*title).to_owned()).collect::<Vec<_>>()];
    lines.extend(rows.iter().map(|row| columns.iter().map(|(_, path)| cell(&row[*path])).collect()));
    print!("{}", format_lines(&lines));
    if !reply.body["next"].is_null() {
        println!("(more: --limit)");
    }
    true
}

/// Prints one thing as `show` writes it, or as JSON. True if the API answered.
pub fn print_one(reply: &ApiReply, as_json: bool, show: impl FnOnce(&Value)) -> bool {
    let data = &reply.body["data"];
    match (reply.succeeded(), as_json) {
        (false, _) => eprintln!("{}", reply.message()),
        (true, true) => println!("{data}"),
        (true, false) => show(data),
    }
    reply.succeeded()
}

/// A value as one cell: no line break, nothing that a terminal would obey.
pub fn cell(value: &Value) -> String {
    let text = match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(cell).collect::<Vec<_>>().join(", "),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.to_string(),
    };
    let shown: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(WIDEST + 1).collect();
    if shown.chars().count() > WIDEST { shown.chars().take(WIDEST - 1).chain(['…']).collect() } else { shown }
}

fn format_lines(lines: &[Vec<String>]) -> String {
    let columns = lines.first().map_or(0, Vec::len);
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for line in lines {
        let padded = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        text += padded.collect::<Vec<_>>().join("  ").trim_end();
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn columns_stand_under_each_other_and_no_cell_breaks_the_line() {
        let lines = [vec!["A".to_owned(), "B".to_owned()], vec![cell(&json!("a\nb\u{1b}[2J")), cell(&json!(["x", 7]))]];
        assert_eq!(format_lines(&lines), "A        B\na b [2J  x, 7\n");
        assert_eq!(cell(&json!("x".repeat(200))).chars().count(), WIDEST);
    }
}
