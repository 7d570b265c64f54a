//! Which row of a file broke a constraint, where the database does not say: found by reading the file again.

use super::File;
use super::error::{Breach, Error, Quoted, Rule};
use super::reader::{Reader, Row};
use super::shape::{Column, Shape};

/// What `pick` makes of the first row it wants.
pub(super) async fn find<T>(file: &File, shape: &Shape, pick: impl Fn(&Row<'_>) -> Option<T>) -> Option<T> {
    // What is wrong further down is not what is looked for.
    search(file, shape, pick).await.ok().flatten()
}

async fn search<T>(file: &File, shape: &Shape, pick: impl Fn(&Row<'_>) -> Option<T>) -> Result<Option<T>, Error> {
    let mut reader = Reader::open(file, shape).await?;
    while reader.fill().await? {
        while let Some(row) = reader.next_row()? {
            if let Some(found) = pick(&row) {
                return Ok(Some(found));
            }
        }
    }
    Ok(None)
}

/// A foreign key without its parent: the columns, and the values as the database prints them.
pub(super) async fn orphan(
    file: &File,
    shape: &Shape,
    parent: String,
    key: &[(String, String)],
    constraint: Option<String>,
) -> Error {
    let is_it = |row: &Row<'_>| !key.is_empty() && key.iter().all(|(name, value)| row.holds(name, value));
    let line = find(file, shape, |row| is_it(row).then_some(row.line)).await;
    let pairs: Vec<_> = key.iter().map(|(name, value)| pair(name, Some(value))).collect();
    let key = (!pairs.is_empty()).then(|| pairs.join(", "));
    Error::Broken {
        file: file.name.clone(),
        line,
        breach: Breach { rule: Rule::ForeignKey { parent }, key, constraint },
    }
}

/// `column=value` of some columns of a row.
pub(super) fn key(row: &Row<'_>, columns: &[String]) -> Option<String> {
    let pairs: Vec<_> = columns.iter().map(|name| pair(name, row.get(name))).collect();
    (!pairs.is_empty()).then(|| pairs.join(", "))
}

fn pair(name: &str, value: Option<&str>) -> String {
    let plain = |character: char| character.is_alphanumeric() || "._@:+-/".contains(character);
    match value {
        None => format!("{name}=null"),
        Some(value) if value.len() < 80 && !value.is_empty() && value.chars().all(plain) => format!("{name}={value}"),
        Some(value) => format!("{name}={}", Quoted(value)),
    }
}

/// The columns that a constraint's SQL names, in its order.
pub(super) fn mentioned(sql: &str, columns: &[Column]) -> Vec<String> {
    let mut found = Vec::new();
    // Every second piece lies between quotes: a text, no name.
    for code in sql.split('\'').step_by(2) {
        for word in code.split(|character: char| !character.is_alphanumeric() && character != '_') {
            let known = columns.iter().any(|column| column.name == word);
            if known && !found.iter().any(|name| name == word) {
                found.push(word.to_owned());
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::Format;
    use super::*;

    #[test]
    fn names_are_found_outside_of_texts() {
        let columns = ["status", "published_at", "draft"].map(|name| Column {
            name: name.to_owned(),
            format: Format::Text,
            nullable: false,
            filled: false,
        });
        let sql = "CHECK (((status <> 'draft'::text) OR (published_at IS NOT NULL) OR not_status))";
        assert_eq!(mentioned(sql, &columns), ["status", "published_at"]);
    }

    #[test]
    fn values_are_shown_so_that_their_ends_are_seen() {
        assert_eq!(pair("id", Some("5")), "id=5");
        assert_eq!(pair("name", Some("a b\n")), r#"name="a b\n""#);
        assert_eq!(pair("name", Some("")), r#"name="""#);
        assert_eq!(pair("name", None), "name=null");
        assert_eq!(pair("name", Some(&"x".repeat(100))).len(), r#"name=""…"#.len() + 80);
    }
}
