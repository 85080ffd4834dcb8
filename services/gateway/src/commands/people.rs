//! Questions about people.

use super::Commands;
use kurir_contract::command::{CheckNumber, NumberChecked, Refusal};

impl Commands {
    pub(super) async fn check_number(&self, request: Result<CheckNumber, Refusal>) -> Result<NumberChecked, Refusal> {
        self.outbound.sender.check(request?).await
    }
}
