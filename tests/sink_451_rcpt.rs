//! Recipients refused for now: greylisting ends well, a refusal that never ends is given up after its tries.

use crate::support::campaign::put_off;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn greylisted_and_hopeless() {
    put_off("rcpt").await;
}
