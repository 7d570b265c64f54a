//! Every mutation, on an empty shop: what it does, what it refuses, and how it says so.

mod changes;
mod comments;
mod jobs;
mod once;
mod orders;
mod posts;
mod products;
mod reading;
mod shop;
mod users;

use shop::Shop;
pub use shop::mutation;

use crate::support::Backend;

crate::on_both!(every_mutation);

/// One after the other, since they build on each other; at the end nothing of the schema has been left out.
async fn every_mutation(backend: Backend) {
    let mut shop = Shop::open(backend).await;
    users::change(&mut shop).await;
    posts::change(&mut shop).await;
    comments::change(&mut shop).await;
    products::change(&mut shop).await;
    orders::change(&mut shop).await;
    jobs::change(&mut shop).await;
    shop.nothing_left_out().await;
}
