//! What lists are asked for: objects with the longest lists and ordinary ones, and values for every filter.

use serde_json::{Map, Value, json};

use crate::graph::Graph;
use crate::model::global;
use crate::support::Database;

/// Without three letters together the trigram index finds ten times too much, each of which must be looked at.
pub const TOO_SHORT: &str = "5 O";

/// What a data set has to offer.
pub struct Values(Value);

/// Of each type the objects with the longest lists, then ordinary ones; and what there is of the filters' values.
const SURVEY: &str = "
    select json_build_object(
        'User', json_build_array(
            (select author_id from comments group by 1 order by count(*) desc, 1 limit 1),
            (select author_id from posts group by 1 order by count(*) desc, 1 limit 1),
            (select user_id from orders group by 1 order by count(*) desc, 1 limit 1)),
        'Post', (select json_agg(p) from (select post_id p from comments group by 1 order by count(*) desc, 1 limit 3) x),
        'Tag', (select json_agg(t) from (select tag_id t from post_tags group by 1 order by count(*) desc, 1 limit 3) x),
        'Product', (select json_agg(p) from
            (select product_id p from order_items group by 1 order by count(*) desc, 1 limit 3) x),
        'Order', (select json_agg(o) from
            (select order_id o from order_items group by 1 order by count(*) desc, 1 limit 3) x),
        'comments', (select json_build_array(min(created_at), max(created_at)) from comments),
        'orders', (select json_build_array(min(created_at), max(created_at)) from orders),
        'posts', (select json_build_array(min(published_at), max(published_at)) from posts),
        'name', (select max(name) from users),
        'prices', (select json_build_array(min(price_cents), percentile_disc(0.5) within group (order by price_cents),
            percentile_disc(0.99) within group (order by price_cents)) from products where active)
    )::text";

impl Values {
    pub async fn of(database: &Database) -> Self {
        Self(serde_json::from_str(&database.text(SURVEY).await.unwrap()).unwrap())
    }

    /// The objects of a type with the longest lists.
    pub fn longest(&self, kind: &str) -> Vec<i64> {
        self.0[kind].as_array().into_iter().flatten().map(|id| id.as_i64().unwrap()).collect()
    }

    /// As many as a page can have.
    pub fn hundred(&self, kind: &str) -> Vec<i64> {
        let step = if kind == "Tag" { 1 } else { 17 };
        let mut ids = self.longest(kind);
        ids.extend((1..).map(|n| n * step).filter(|id| !self.longest(kind).contains(id)).take(100 - ids.len()));
        ids
    }

    /// Each value of each field of a filter with each of the others.
    pub fn filters(&self, graph: &Graph, kind: Option<&str>) -> Vec<Value> {
        let Some(kind) = kind else { return vec![Value::Null] };
        let mut filters = vec![Map::new()];
        for field in graph.input_fields(kind) {
            let values = self.of_field(kind, &field.name);
            let with = |filter: &Map<String, Value>| -> Vec<_> {
                let given = values.iter().map(|value| {
                    let mut filter = filter.clone();
                    filter.insert(field.name.clone(), value.clone());
                    filter
                });
                std::iter::once(filter.clone()).chain(given).collect()
            };
            filters = filters.iter().flat_map(with).collect();
        }
        // What is that dear is not asked again and again.
        filters.retain(|filter| filter.len() == 1 || filter.get("search").is_none_or(|search| search != TOO_SHORT));
        filters.into_iter().map(Value::Object).collect()
    }

    fn of_field(&self, kind: &str, field: &str) -> Vec<Value> {
        let heavy_and_light = |of: &str| vec![json!(global(of, self.longest(of)[0])), json!(global(of, 77))];
        let name = self.0["name"].as_str().unwrap();
        match (kind, field) {
            ("PostFilter" | "CommentFilter", "authorId") => heavy_and_light("User"),
            (_, "userId") => vec![json!(global("User", self.longest("User")[2])), json!(global("User", 77))],
            (_, "postId") => heavy_and_light("Post"),
            (_, "tagId") => heavy_and_light("Tag"),
            ("PostFilter" | "RelatedPostFilter", "status") => vec![json!("PUBLISHED"), json!("DRAFT")],
            ("OrderFilter" | "RelatedOrderFilter", "status") => vec![json!("DELIVERED"), json!("PENDING")],
            (_, "role") => vec![json!("CUSTOMER"), json!("ADMIN")],
            (_, "active") => vec![json!(true), json!(false), Value::Null],
            ("JobFilter", "kind") => vec![json!("mail"), json!("retention")],
            ("JobFilter", "state") => vec![json!("DEAD"), json!("CANCELLED")],
            ("UserFilter", "namePrefix") => vec![json!(name[..1]), json!(name)],
            ("TagFilter", "namePrefix") => vec![json!(""), json!("tag-1")],
            (_, "emailPrefix") => vec![json!("U"), json!("u77")],
            // Common; too short; rare; nowhere.
            (_, "search") => vec![json!("BREAD"), json!(TOO_SHORT), json!("CRUSH"), json!("xqzt")],
            (_, "price") => {
                let [least, middle, high] = [0, 1, 2].map(|place| self.0["prices"][place].as_i64().unwrap());
                let range = |from: i64, to: i64| json!({ "minCents": from, "maxCents": to });
                vec![range(least, 1_000_000), range(middle, middle + 2), json!({ "minCents": high })]
            }
            ("CommentFilter" | "RelatedCommentFilter", "createdAt") => self.spans("comments"),
            ("OrderFilter" | "RelatedOrderFilter", "createdAt") => self.spans("orders"),
            (_, "publishedAt") => self.spans("posts"),
            _ => panic!("name values of {kind}.{field}"),
        }
    }

    /// All the time there is, and a day.
    fn spans(&self, of: &str) -> Vec<Value> {
        let time = |place: usize| chrono::DateTime::parse_from_rfc3339(self.0[of][place].as_str().unwrap()).unwrap();
        let (first, last) = (time(0), time(1));
        let middle = first + (last - first) / 2;
        let span = |from: chrono::DateTime<_>, until: chrono::DateTime<_>| json!({ "from": from.to_rfc3339(), "until": until.to_rfc3339() });
        vec![span(first, last), span(middle, middle + chrono::TimeDelta::days(1))]
    }
}
