//! `/api/endpoints`: where events go, made and changed while everything runs.
//!
//! `endpoint_input` reads what a user writes, `endpoint_view` shapes what they see; each kind of change has its own file.

mod change;
mod create;
mod endpoint_input;
mod endpoint_view;
mod list;
mod lookup;
mod secret;
mod show;
mod test;

pub use change::{change_endpoint, delete_endpoint, disable_endpoint, enable_endpoint};
pub use create::create_endpoint;
pub use endpoint_view::find_warnings;
pub use list::list_endpoints;
pub use lookup::{default_endpoint, require_endpoint};
pub use secret::rotate_secret;
pub use show::show_endpoint;
pub use test::test_endpoint;
