-- A world in which everybody is related to exactly one of everything: each user has one post, one comment and one order,
-- each post one comment and one tag, each product one buyer. Each relation is a turn of the circle of numbers, each by an
-- angle of its own: two ways from an object lead to the same object from all objects or from none.

-- Ids are dealt out at random, so that the first hundred of a list are neighbours in no relation.
create temporary table dealt as
select kind, x, row_number() over (partition by kind order by md5(kind || x)) as id
from unnest(array ['user', 'post', 'comment', 'tag', 'product', 'order', 'item']) kind, generate_series(0, 3999) x;
alter table dealt add primary key (kind, x);

create function pg_temp.id_of(of text, place bigint) returns bigint language sql stable as
$$ select id from dealt where kind = of and x = place % 4000 $$;

insert into users (id, email, name, role, active, created_at) overriding system value
select id, 'u' || id || '@example.invalid', 'N' || id, 'customer', true, '2020-01-01Z'::timestamptz + id * interval '1 hour'
from dealt where kind = 'user';

insert into posts (id, author_id, title, body, status, published_at, created_at) overriding system value
select id, pg_temp.id_of('user', x + 17), 'Post ' || id, 'Body', 'published', time, time
from dealt, lateral (select '2020-01-01Z'::timestamptz + id * interval '1 hour') t(time) where kind = 'post';

insert into comments (id, post_id, author_id, body, created_at) overriding system value
select id, pg_temp.id_of('post', x + 170), pg_temp.id_of('user', x + 611), 'Yes', '2020-01-01Z'::timestamptz + id * interval '1 hour'
from dealt where kind = 'comment';

insert into tags (id, name) overriding system value select id, 'N' || id from dealt where kind = 'tag';

insert into post_tags (post_id, tag_id) select id, pg_temp.id_of('tag', x + 1009) from dealt where kind = 'post';

insert into products (id, sku, name, description, price_cents, currency, stock, active) overriding system value
select id, 'S' || id, 'Name', 'Description', id, 'USD', 1, true from dealt where kind = 'product';

insert into orders (id, user_id, status, total_cents, currency, created_at) overriding system value
select id, pg_temp.id_of('user', x + 1523), 'paid', 100, 'USD', '2020-01-01Z'::timestamptz + id * interval '1 hour'
from dealt where kind = 'order';

insert into order_items (id, order_id, product_id, quantity, unit_price_cents) overriding system value
select id, pg_temp.id_of('order', x + 2311), pg_temp.id_of('product', x + 3001), 1, 100 from dealt where kind = 'item';
