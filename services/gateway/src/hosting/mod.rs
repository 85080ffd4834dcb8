//! Which sessions this gateway holds: one gateway of all that share a NATS holds a session.
//!
//! A gateway has a [`GatewayLease`], which vanishes from NATS 10 s after its last renewal. The holder of each session is a
//! record in the bucket `session_holders`; it is written over only if its gateway's lease has vanished. Before a gateway
//! acknowledges, sends or publishes anything for a session, it asks its [`SessionGuard`](crate::session::session_guard::SessionGuard), which is shut as soon as the lease
//! may have vanished: also in a process that was frozen, because the time is measured on this machine.
//!
//! `whatsapp_reach` knows whether this gateway reaches WhatsApp; one that does not gives its sessions to others.
//!
//! `session_service` runs one session, `supervisor` runs those that this gateway holds, and `key_export` hands out the keys of
//! those that are stopped.

mod gateway_lease;
mod key_export;
mod session_claim;
mod session_folder;
mod session_placement;
mod session_registry;
mod session_service;
mod supervisor;
mod whatsapp_reach;

pub use gateway_lease::GatewayLease;
pub use key_export::KeyExporter;
pub use session_claim::{ClaimInterrupted, HeldElsewhere, SessionClaim};
pub use session_folder::SessionFolder;
pub use session_registry::SessionRegistry;
pub use session_service::SessionContext;
pub use supervisor::Supervisor;
pub use whatsapp_reach::WhatsappReach;
