//! The HTTP client of the AWS SDK: behind the proxy the environment names, trusting private CAs.

use std::net::IpAddr;
use std::path::PathBuf;

use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_http_client::{Builder, Connector};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;

use crate::error::{Error, Result};

/// A client for the embedded stack: plain HTTP, no proxy, nothing read from the environment.
pub(super) fn direct() -> SharedHttpClient {
    connectors(ProxyConfig::disabled(), &trust(TrustStore::empty()))
}

/// A client as the environment asks for: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, and the
/// certificates of `AWS_CA_BUNDLE` besides those of the system. `SSL_CERT_FILE` and `SSL_CERT_DIR` name the
/// system's certificates, as they do for OpenSSL.
///
/// # Errors
/// Exit 78 when a file of certificates cannot be read or holds none.
pub(super) fn from_environment() -> Result<SharedHttpClient> {
    let mut store = TrustStore::default();
    if let Some(path) = path("AWS_CA_BUNDLE") {
        store.add_pem_certificate(certificates("AWS_CA_BUNDLE", &path)?);
    }
    if let Some(path) = path("SSL_CERT_FILE") {
        certificates("SSL_CERT_FILE", &path)?;
    }
    let tls = trust(store);
    Ok(SharedHttpClient::new(Routed {
        direct: connectors(ProxyConfig::disabled(), &tls),
        proxied: connectors(ProxyConfig::from_env(), &tls),
    }))
}

fn path(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}

/// The file's PEM text, checked here because the TLS layer takes it on trust.
fn certificates(variable: &str, path: &PathBuf) -> Result<Vec<u8>> {
    let hint = format!("{variable} must name a PEM file of CA certificates");
    let text = std::fs::read(path).map_err(|error| {
        Error::config(format!("cannot read {} ({variable})", path.display()))
            .because(error)
            .hint(&hint)
    })?;
    let certificates = reqwest::Certificate::from_pem_bundle(&text).map_err(|error| {
        Error::config(format!("{} ({variable}) is not PEM", path.display()))
            .because(error)
            .hint(&hint)
    })?;
    if certificates.is_empty() {
        return Err(
            Error::config(format!("{} ({variable}) holds no certificate", path.display())).hint(hint),
        );
    }
    // Building a client is what parses the certificates themselves.
    reqwest::Client::builder()
        .tls_certs_only(certificates)
        .build()
        .map_err(|error| {
            Error::config(format!(
                "{} ({variable}) holds a certificate that cannot be used",
                path.display()
            ))
            .because(error)
            .hint(&hint)
        })?;
    Ok(text)
}

fn trust(store: TrustStore) -> TlsContext {
    TlsContext::builder()
        .with_trust_store(store)
        .build()
        .expect("a trust store is all a TLS context takes")
}

fn connectors(proxy: ProxyConfig, tls: &TlsContext) -> SharedHttpClient {
    let tls = tls.clone();
    Builder::new().build_with_connector_fn(move |settings, components| {
        let mut builder = Connector::builder().proxy_config(proxy.clone());
        builder.set_connector_settings(settings.cloned());
        builder.set_sleep_impl(components.and_then(RuntimeComponents::sleep_impl));
        builder
            .tls_provider(Provider::rustls(CryptoMode::AwsLc))
            .tls_context(tls.clone())
            .build()
    })
}

/// Sends requests for this machine and for the cloud's own metadata services past the proxy, whatever
/// `NO_PROXY` says: no proxy can reach them, and credentials must not take the detour.
#[derive(Debug)]
struct Routed {
    direct: SharedHttpClient,
    proxied: SharedHttpClient,
}

impl HttpClient for Routed {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(RoutedConnector {
            direct: self.direct.http_connector(settings, components),
            proxied: self.proxied.http_connector(settings, components),
        })
    }
}

#[derive(Debug)]
struct RoutedConnector {
    direct: SharedHttpConnector,
    proxied: SharedHttpConnector,
}

impl HttpConnector for RoutedConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        if is_local(request.uri()) {
            self.direct.call(request)
        } else {
            self.proxied.call(request)
        }
    }
}

/// Whether the URL's host is this machine or on its link.
fn is_local(url: &str) -> bool {
    let Ok(url) = url.parse::<hyper::Uri>() else {
        return false;
    };
    let Some(host) = url.host() else { return false };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => address.is_loopback() || address.is_link_local(),
        // fd00:ec2::254 is the metadata service's address on IPv6.
        Ok(IpAddr::V6(address)) => {
            address.is_loopback()
                || address.is_unicast_link_local()
                || address.segments()[..2] == [0xfd00, 0x0ec2]
        }
        Err(_) => {
            let host = host.trim_end_matches('.').to_ascii_lowercase();
            host == "localhost" || host.ends_with(".localhost")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_never_behind_a_proxy() {
        for url in [
            "http://127.0.0.1:9000/bucket/key",
            "http://127.8.0.1/",
            "http://localhost:8000",
            "http://bucket.localhost:8000/",
            "http://[::1]:9000/",
            "http://169.254.169.254/latest/api/token",
            "http://169.254.170.2/v2/credentials",
            "http://[fd00:ec2::254]/latest/api/token",
        ] {
            assert!(is_local(url), "{url}");
        }
        for url in [
            "https://s3.eu-central-1.amazonaws.com/",
            "http://10.0.0.1/",
            "http://localhost.example.com/",
            "http://[2001:db8::1]/",
            "not a url",
        ] {
            assert!(!is_local(url), "{url}");
        }
    }

    #[test]
    fn a_ca_bundle_must_hold_certificates() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        assert!(certificates("AWS_CA_BUNDLE", &path).is_err());
        std::fs::write(&path, "").unwrap();
        assert!(certificates("AWS_CA_BUNDLE", &path).is_err());
        std::fs::write(
            &path,
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        )
        .unwrap();
        assert!(certificates("AWS_CA_BUNDLE", &path).is_err());
    }
}
