//! Who has bought what, kept by triggers: nobody else writes to it, whoever writes orders.
//!
//! A table, not a view: the buyers of a product, each once and by latest purchase, are in no index of the orders and
//! their items. A view has to read all items of a product for a page of its buyers (7,000 of 1.4 million items: 50 ms),
//! or to ask for each item whether a later one exists (31 s); this is one walk of an index that stops at the limit.

use crate::step::{Database, Dialect};

pub fn up(dialect: &Dialect) -> String {
    let triggers = match dialect.database {
        Database::Postgres => postgres_triggers(),
        Database::Sqlite => sqlite_triggers(),
    };
    format!(
        "
        create table product_buyers (
            product_id bigint not null,
            user_id bigint not null,
            -- The user's latest item of the product.
            item_id bigint not null,
            constraint product_buyers_pkey primary key (product_id, user_id)
        );

        -- The buyers of a product, by latest purchase.
        create unique index product_buyers_latest on product_buyers (product_id, item_id);

        {all};

        {triggers}
        ",
        all = insert("order_items", "true"),
    )
}

pub fn down(dialect: &Dialect) -> String {
    match dialect.database {
        Database::Postgres => {
            "
            drop trigger product_buyers_items_added on order_items;
            drop trigger product_buyers_item_changed on order_items;
            drop trigger product_buyers_items_truncated on order_items;
            drop trigger product_buyers_order_changed on orders;
            drop function product_buyers_items_added, product_buyers_item_changed, product_buyers_items_truncated,
                product_buyers_order_changed;
            drop table product_buyers
            "
        }
        Database::Sqlite => {
            "
            drop trigger product_buyers_item_added;
            drop trigger product_buyers_item_deleted;
            drop trigger product_buyers_item_updated;
            drop trigger product_buyers_order_changed;
            drop table product_buyers
            "
        }
    }
    .to_owned()
}

/// Adds the buyers in `items`, or moves them on. In the order of the key, so that two who buy the same lock in the same
/// order.
fn insert(items: &str, condition: &str) -> String {
    format!(
        "insert into product_buyers (product_id, user_id, item_id)
        select i.product_id, o.user_id, max(i.id)
        from {items} i join orders o on o.id = i.order_id
        where o.status <> 'cancelled' and {condition}
        group by i.product_id, o.user_id
        order by i.product_id, o.user_id
        on conflict (product_id, user_id) do update set item_id = excluded.item_id
            where product_buyers.item_id < excluded.item_id"
    )
}

/// Looks anew whether and when users bought products, after something was taken away or called off.
fn refresh(users: &str, products: &str) -> String {
    let insert = insert("order_items", &format!("o.user_id {users} and i.product_id {products}"));
    format!("delete from product_buyers where user_id {users} and product_id {products}; {insert};")
}

/// After the user or the cancellation of an order changed.
fn refresh_order() -> String {
    refresh("in (old.user_id, new.user_id)", "in (select product_id from order_items where order_id = new.id)")
}

/// After an item was deleted or changed.
fn refresh_item() -> String {
    refresh("= (select user_id from orders where id = old.order_id)", "= old.product_id")
}

const ORDER_CHANGED: &str = "old.user_id <> new.user_id or (old.status = 'cancelled') <> (new.status = 'cancelled')";

/// One at a time for each user, or two that call off two orders of one product would each put back the other's.
const LOCK_USERS: &str = "perform from users
                where id in (old.user_id, new.user_id) order by id for no key update;";
const LOCK_USER: &str = "perform from users
                where id = (select user_id from orders where id = old.order_id) for no key update;";

/// Inserts are taken together, since an import brings a million at once; the rest is rare and comes row by row.
fn postgres_triggers() -> String {
    format!(
        "
        create function product_buyers_items_added() returns trigger language plpgsql as $$ begin
            {added};
            return null;
        end $$;

        create function product_buyers_item_changed() returns trigger language plpgsql as $$ begin
            {LOCK_USER}
            {item}
            if tg_op = 'UPDATE' then
                {updated};
            end if;
            return null;
        end $$;

        create function product_buyers_items_truncated() returns trigger language plpgsql as $$ begin
            delete from product_buyers;
            return null;
        end $$;

        create function product_buyers_order_changed() returns trigger language plpgsql as $$ begin
            {LOCK_USERS}
            {order}
            return null;
        end $$;

        create trigger product_buyers_items_added after insert on order_items
            referencing new table as added for each statement execute function product_buyers_items_added();
        create trigger product_buyers_item_changed after delete or update of id, order_id, product_id on order_items
            for each row execute function product_buyers_item_changed();
        create trigger product_buyers_items_truncated after truncate on order_items
            for each statement execute function product_buyers_items_truncated();
        create trigger product_buyers_order_changed after update of user_id, status on orders
            for each row when ({ORDER_CHANGED}) execute function product_buyers_order_changed();
        ",
        added = insert("added", "true"),
        updated = insert("order_items", "i.id = new.id"),
        item = refresh_item(),
        order = refresh_order(),
    )
}

fn sqlite_triggers() -> String {
    format!(
        "
        create trigger product_buyers_item_added after insert on order_items begin
            {added};
        end;
        create trigger product_buyers_item_deleted after delete on order_items begin
            {item}
        end;
        create trigger product_buyers_item_updated after update of id, order_id, product_id on order_items begin
            {item} {added};
        end;
        create trigger product_buyers_order_changed after update of user_id, status on orders
            when {ORDER_CHANGED} begin
            {order}
        end;
        ",
        added = insert("order_items", "i.id = new.id"),
        item = refresh_item(),
        order = refresh_order(),
    )
}
