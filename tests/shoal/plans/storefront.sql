-- A storefront of full scale and real skew: one post with 2,900 comments, one user with 25,000, one tag on 3,000 posts, one
-- user with 4,000 orders, one product in 15,000 items. The same rows each time.

-- Nobody reads it on a replica, so nothing of it need go there: children first, for no table may outlive its parents.
-- What is published must be logged.
drop publication shoal;
alter table product_buyers set unlogged;
alter table order_items set unlogged;
alter table orders set unlogged;
alter table products set unlogged;
alter table post_tags set unlogged;
alter table comments set unlogged;
alter table posts set unlogged;
alter table tags set unlogged;
alter table users set unlogged;

-- The rows keep the constraints; to check each foreign key would take longer than all the rest.
set session_replication_role = replica;
select setseed(0.25);

-- An index is quicker built at once than row by row.
create temporary table indexes as
select i.indexrelid::regclass as name, pg_get_indexdef(i.indexrelid) as definition
from pg_index i join pg_class c on c.oid = i.indrelid
where c.relnamespace = 'public'::regnamespace and not exists (select from pg_constraint where conindid = i.indexrelid);
-- Mails, many of which nobody took, and among them a time of another kind, which failed seldom.
insert into jobs (kind, task, state, max_attempts, attempt, finished_at)
select case when n / 5000 = 14 then 'retention' else 'mail' end, '{}',
       case when n > 149980 then 'queued' when n / 5000 <> 14 and n % 4 = 0 or n / 5000 = 14 and n % 1000 = 7 then 'dead'
            when n % 10000 = 9 then 'cancelled' else 'done' end,
       20, 1, case when n <= 149980 then now() end
from generate_series(1, 150000) n;

do $$ declare index record; begin
    for index in select * from indexes loop execute 'drop index ' || index.name; end loop;
end $$;

insert into users (email, name, role, active, created_at)
select 'u' || n || '@example.invalid',
       (array ['Ada', 'Ben', 'Cleo', 'Dora', 'Emil', 'Flo'])[1 + n % 6] || ' ' || substr(md5(n::text), 1, 5),
       case when n <= 3 then 'admin' when n <= 30 then 'moderator' when n % 2 = 0 then 'author' else 'customer' end,
       n % 50 <> 0,
       '2016-01-01Z'::timestamptz + n * interval '4 hours'
from generate_series(1, 2500) n;

insert into posts (author_id, title, body, status, published_at, created_at)
select case when random() < 0.16 then 2 else 1 + floor(random() * 2500)::bigint end,
       'Post ' || n,
       repeat('All work and no play. ', 1 + n % 20),
       status,
       case when status <> 'draft' then '2018-04-10Z'::timestamptz + n * interval '44 minutes' end,
       '2018-04-10Z'::timestamptz + n * interval '44 minutes' - interval '1 day' * (n % 7)
from generate_series(1, 7000) n,
     lateral (select case when n % 10 < 8 then 'published' when n % 10 = 8 then 'draft' else 'archived' end) s(status);

insert into comments (post_id, author_id, body, created_at)
select case when random() < 0.0116 then 1 else 1 + floor(random() * random() * 7000)::bigint end,
       case when random() < 0.1 then 1 else 1 + floor(random() * random() * 2500)::bigint end,
       'I say ' || n,
       '2018-04-10Z'::timestamptz + n * interval '75 seconds'
from generate_series(1, 250000) n;

insert into tags (name) select 'tag-' || n from generate_series(1, 40) n;

insert into post_tags (post_id, tag_id)
select n, tag
from generate_series(1, 7000) n,
     lateral (select 1 where n % 7 < 3 union select 2 + (n * 7919 + k * 31) % 39 from generate_series(1, n % 3) k) t(tag);

insert into products (sku, name, description, price_cents, currency, stock, active, created_at)
select 'SKU-' || n,
       case when n % 997 = 0 then 'CRUSHED ' else '' end
           || (array ['BREAD', 'MILK', 'APPLES', 'SOAP', 'RICE', 'COFFEE', 'CHOCOLATE', 'TEA', 'PASTA', 'BEANS'])[1 + n % 10]
           || ' ' || substr(md5(n::text), 1, 8) || ' ' || n % 64 || ' OZ',
       repeat('Good for you. ', 1 + n % 30),
       case when n % 9 = 0 then 99 else 50 + floor(exp(random() * 7))::bigint end,
       'USD', n % 100, n > 60000 or n > 20000 and n % 9 < 5,
       '2016-06-01Z'::timestamptz + n * interval '5 minutes'
from generate_series(1, 68000) n;

insert into orders (user_id, status, total_cents, currency, created_at)
select case when random() < 0.0286 then 1 else 1 + floor(random() * 2500)::bigint end,
       case when n > 139900 then 'pending' when n % 100 < 3 then 'cancelled' when n % 100 < 5 then 'paid'
            when n % 100 < 8 then 'shipped' else 'delivered' end,
       1000 + n % 5000, 'USD',
       '2017-01-01Z'::timestamptz + n * interval '225 seconds'
from generate_series(1, 140000) n;

insert into order_items (order_id, product_id, quantity, unit_price_cents)
select case when n <= 160 then 1 else 1 + n % 140000 end,
       case when random() < 0.0357 then 1 else 1 + floor(random() * random() * 68000)::bigint end,
       1 + n % 3, 99
from generate_series(1, 420000) n;

-- What the triggers would have kept.
insert into product_buyers (product_id, user_id, item_id)
select i.product_id, o.user_id, max(i.id) from order_items i join orders o on o.id = i.order_id
where o.status <> 'cancelled' group by 1, 2 order by 1, 2;

-- Mostly mails that were sent; the few that were not, and what was cleared away each night, lie far apart.
insert into jobs (kind, task, state, max_attempts, attempt, finished_at)
select case when n % 1500 = 0 then 'retention' else 'mail' end, '{}',
       case when n > 149980 then 'queued' when n % 3000 = 7 or n % 30000 = 0 then 'dead'
            when n % 10000 = 9 then 'cancelled' else 'done' end,
       20, 1, case when n <= 149980 then now() end
from generate_series(1, 150000) n;

do $$ declare index record; begin
    for index in select * from indexes loop execute index.definition; end loop;
end $$;
