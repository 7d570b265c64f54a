use super::*;
use serde_json::json;

fn catalogue(present: &[&str], declared: &[&str]) -> Catalogue {
    let parse = |texts: &[&str]| texts.iter().map(|text| Index::parse(text).unwrap()).collect::<Vec<_>>();
    let mut declared = parse(declared);
    let indexes = parse(present);
    declared.extend(indexes.clone());
    Catalogue { indexes, declared, rows: [("comments".to_owned(), 1e6), ("tags".to_owned(), 70.0)].into() }
}

const CREATED: &str = "create index comments_created on comments (created_at desc, id desc)";
const POST: &str = "create index comments_post on comments (post_id, created_at desc, id desc)";

fn advice(tree: Value, catalogue: &Catalogue) -> Vec<Advice> {
    advise(&Plan { planning: None, execution: None, tree }, "", catalogue)
}

#[test]
fn columns_that_are_compared_are_found_in_conditions() {
    for (condition, found) in [
        ("(post_id = k.key)", &["post_id"][..]),
        ("(t.post_id = k.key)", &["post_id"]),
        ("(k.key = t.post_id)", &["post_id"]),
        ("((t.post_id = $1) AND ((t.status)::text = 'published'::text))", &["post_id", "status"]),
        ("(((status)::text = 'a b'::text) AND (\"order\" = ANY ($1)))", &["status", "order"]),
        ("(COALESCE((status = 'draft'::text), false) AND (author_id = 7))", &["status", "author_id"]),
        ("(created_at > $1)", &[]),
        ("(ROW(t.created_at, t.id) < ROW($2, $3))", &[]),
        ("(other.post_id = k.key)", &[]),
        ("(lower(email) = $1)", &[]),
        ("", &[]),
    ] {
        assert_eq!(compared(condition, "t"), found, "{condition}");
    }
}

#[test]
fn a_scan_is_mended_by_what_is_declared_or_by_its_columns() {
    let scan = json!({ "Node Type": "Limit", "Plans": [{ "Node Type": "Sort", "Sort Key": ["t.created_at DESC", "t.id DESC"],
        "Plans": [{ "Node Type": "Seq Scan", "Relation Name": "comments", "Alias": "t", "Filter": "(post_id = $1)",
            "Actual Rows": 3, "Actual Loops": 2, "Rows Removed by Filter": 999 }] }] });
    let [found] = &advice(scan.clone(), &catalogue(&[CREATED], &[POST]))[..] else { panic!("one") };
    assert_eq!((found.index.as_str(), found.is_declared), ("comments_post", true));
    assert_eq!(found.command, POST.replacen("index", "index concurrently", 1) + ";");
    assert_eq!(found.why, "2004 rows of comments were read one by one");
    let [found] = &advice(scan.clone(), &catalogue(&[CREATED], &[]))[..] else { panic!("one") };
    let command =
        "create index concurrently comments_post_id_created_at_id on comments (post_id, created_at DESC, id DESC);";
    assert_eq!((found.is_declared, found.command.as_str()), (false, command));
    let mut of_tags = scan.clone();
    of_tags["Plans"][0]["Plans"][0]["Relation Name"] = "tags".into();
    assert_eq!(advice(of_tags, &catalogue(&[], &[])), [], "of a small table");
    let mut of_few = scan;
    of_few["Plans"][0]["Plans"][0]["Rows Removed by Filter"] = 9.into();
    assert_eq!(advice(of_few, &catalogue(&[CREATED], &[POST])), [], "few rows were read");
}

#[test]
fn a_walk_in_vain_is_as_bad_and_one_that_ends_in_time_is_none() {
    let walk = |removed: i64| {
        json!({ "Node Type": "Index Scan", "Index Name": "comments_created", "Relation Name": "comments", "Alias": "t",
            "Filter": "(post_id = k.key)", "Actual Rows": 3, "Actual Loops": 20, "Rows Removed by Filter": removed })
    };
    let lacking = catalogue(&[CREATED], &[POST]);
    let found = advice(walk(5000), &lacking);
    assert_eq!(found[0].index, "comments_post");
    assert_eq!(found[0].why, "100000 of 100060 rows of comments were read by comments_created in vain");
    assert_eq!(advice(walk(20), &lacking), []);
    // One that was not run says what it would do.
    let mut planned = walk(0);
    planned.as_object_mut().unwrap().retain(|key, _| !key.starts_with("Actual"));
    assert_eq!(advice(planned.clone(), &lacking)[0].index, "comments_post");
    let undeclared = advice(planned.clone(), &catalogue(&[CREATED], &[]));
    assert!(undeclared[0].command.ends_with("on comments (post_id, created_at desc, id desc);"), "{undeclared:?}");
    planned.as_object_mut().unwrap().remove("Filter");
    assert_eq!(advice(planned, &catalogue(&[CREATED], &[])), [], "a list, in its order");
}

#[test]
fn a_join_that_reads_a_whole_table_is_mended_too() {
    let join = json!({ "Node Type": "Hash Join", "Hash Cond": "(t.post_id = k.key)", "Plans": [
        { "Node Type": "Seq Scan", "Relation Name": "comments", "Alias": "t" }, { "Node Type": "Hash" }] });
    assert_eq!(advice(join, &catalogue(&[CREATED], &[POST]))[0].index, "comments_post");
}

#[test]
fn sqlite_tells_of_scans_by_the_names_in_the_statement() {
    let plan = Plan::of_lines(vec!["SEARCH k".to_owned(), "SCAN t".to_owned()]);
    let statement = "select t.\"id\" from \"comments\" t where t.\"post_id\" = ?1";
    assert_eq!(advise(&plan, statement, &catalogue(&[CREATED], &[POST]))[0].index, "comments_post");
    assert_eq!(advise(&plan, statement, &catalogue(&[CREATED, POST], &[])), []);
    let other = "select t.\"id\" from \"posts\" t";
    assert_eq!(advise(&plan, other, &catalogue(&[CREATED], &[POST])), []);
}
