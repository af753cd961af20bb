//! Mails refused for now after the dot: sent again with the same Message-ID, or given up; a definite no is no doubt.

use crate::support::campaign::put_off;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_after_the_dot() {
    assert_eq!(put_off("dot").await.n("in_doubt"), 0);
}
