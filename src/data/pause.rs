//! The one way to let time pass: whoever waits for something that can be awaited awaits that.

use std::time::Duration;

/// Waits so long, for nothing: before what failed is tried again, or for more to come together.
pub async fn pause(duration: Duration) {
    tokio::time::sleep(duration).await;
}
