//! The clients that nobody here wrote, as the tests of the simulator use them.

pub use kurir_test_harness::witness::{Client, Witness};

/// A test of each scenario for each client.
macro_rules! for_each_client {
    ($($scenario:ident: $whatsmeow:ident, $baileys:ident;)*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $whatsmeow() {
            $scenario($crate::witness::Client::Whatsmeow).await;
        }

        #[tokio::test(flavor = "multi_thread")]
        async fn $baileys() {
            $scenario($crate::witness::Client::Baileys).await;
        }
    )*};
}
pub(crate) use for_each_client;
