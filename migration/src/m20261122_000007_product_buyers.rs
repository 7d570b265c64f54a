//! Who has bought what: each user with a product they have ordered and not cancelled, once, at the latest such item.

use crate::step::Dialect;

/// A scalar subquery per item, and not `distinct` or `group by`: those read every item of the product before the first
/// row, this walks the index on (product_id, id) in either direction and stops at the page's limit.
pub fn up(_: &Dialect) -> String {
    "
        create view product_buyers as
        select i.product_id, o.user_id, i.id as item_id
        from order_items i
        join orders o on o.id = i.order_id
        where o.status <> 'cancelled'
            and i.id = (
                select max(i2.id)
                from orders o2
                join order_items i2 on i2.order_id = o2.id
                where o2.user_id = o.user_id and o2.status <> 'cancelled' and i2.product_id = i.product_id
            )
    "
    .to_owned()
}

pub fn down(_: &Dialect) -> String {
    "drop view product_buyers".to_owned()
}
