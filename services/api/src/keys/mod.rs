//! Keys of the API: who a caller is, what they may do, and the log of what they changed.
//!
//! `key_record` is a key as NATS keeps it, `key_table` follows all of them, `scope` says what each route takes, `caller` is
//! who asked, `rate_limit` how often they may, `login` how a browser stays logged in, `audit_log` what they changed.

mod audit_log;
mod caller;
mod key_record;
mod key_table;
mod login;
mod rate_limit;
mod scope;

pub use audit_log::record_changes;
pub use caller::{Caller, ENVIRONMENT_KEY};
pub use key_record::{KeyRecord, NewKey};
pub use key_table::KeyTable;
pub use login::{LoginCookies, csrf_header};
pub use rate_limit::KeyRates;
pub use scope::{Scope, required_scope};
