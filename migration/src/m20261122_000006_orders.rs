//! Orders and their items.

use crate::step::Dialect;

pub fn up(dialect: &Dialect) -> String {
    let Dialect { id, timestamp, now, currency, .. } = dialect;
    format!(
        "
        create table orders (
            id {id},
            user_id bigint not null constraint orders_user_id_fkey references users (id),
            status text not null constraint orders_status_known
                check (status in ('pending', 'paid', 'shipped', 'delivered', 'cancelled')),
            total_cents bigint not null constraint orders_total_not_negative check (total_cents >= 0),
            currency text not null constraint orders_currency_is_code check ({currency}),
            created_at {timestamp} not null default {now},
            updated_at {timestamp} not null default {now}
        );

        -- The orders of a user, newest first.
        create index orders_user on orders (user_id, created_at desc, id desc);
        -- Orders in a status, newest first: the desk of the shop.
        create index orders_status on orders (status, created_at desc, id desc);
        -- All orders, newest first.
        create index orders_created on orders (created_at desc, id desc);

        create table order_items (
            id {id},
            order_id bigint not null constraint order_items_order_id_fkey references orders (id),
            product_id bigint not null constraint order_items_product_id_fkey references products (id),
            quantity integer not null constraint order_items_quantity_positive check (quantity > 0),
            unit_price_cents bigint not null
                constraint order_items_unit_price_not_negative check (unit_price_cents >= 0)
        );

        -- The items of an order.
        create index order_items_order on order_items (order_id, id);
        -- The items of a product.
        create index order_items_product on order_items (product_id, id);
        "
    )
}

pub fn down(_: &Dialect) -> String {
    "drop table order_items; drop table orders".to_owned()
}
