//! How an endpoint's receiver is reached, where that differs from the usual way.

use kurir_contract::endpoint::ClientCertificate;
use url::Url;

/// How an endpoint's receiver is reached, where that differs from the usual way.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConnectionSettings {
    /// The endpoint's own proxy, `http://…`. None: the operator's, if `HTTP_PROXY` or `HTTPS_PROXY` is set.
    pub proxy: Option<Url>,
    /// The name that the receiver's certificate must have, if it is not the URL's host.
    pub server_name: Option<String>,
    /// The certificate that is presented to the receiver.
    pub certificate: Option<ClientCertificate>,
}
