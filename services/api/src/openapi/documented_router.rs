//! A router to which a route can only be added together with its documentation.

use super::operation::OperationDoc;
use crate::{app_state::AppState, error_code::ErrorCode};
use aide::{
    axum::{ApiRouter, routing},
    generate::{in_context, reset_context},
    openapi::OpenApi,
    operation::{OperationHandler, OperationInput, OperationOutput},
};
use axum::{Router, extract::Request, handler::Handler, response::IntoResponse, routing::Route};
use schemars::generate::SchemaSettings;
use std::convert::Infallible;
use tower_layer::Layer;
use tower_service::Service;

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteAccess {
    Open,
    Keyed,
}

/// The documentation of an operation, with what its group adds.
#[derive(Clone)]
pub struct GroupedDoc {
    pub doc: OperationDoc,
    pub tag: &'static str,
    pub access: RouteAccess,
    pub common_errors: &'static [ErrorCode],
}

/// Routes and their documentation.
pub struct DocumentedRouter {
    router: ApiRouter<AppState>,
    docs: Vec<GroupedDoc>,
    tag: &'static str,
    access: RouteAccess,
    common_errors: &'static [ErrorCode],
}

/// Starts a new document: schemas are collected from here on, in this thread.
pub fn begin_document() {
    reset_context();
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    in_context(|context| context.schema = settings.into_generator());
}

macro_rules! methods {
    ($($name:ident: $with:ident;)+) => {
        $(pub fn $name<H, I, O, T>(self, path: &str, handler: H, doc: OperationDoc) -> Self
        where
            H: Handler<T, AppState> + OperationHandler<I, O>,
            I: OperationInput,
            O: OperationOutput,
            T: 'static,
        {
            let route = routing::$with(handler, |operation| operation.id(doc.id));
            self.add(path, route, doc)
        })+
    };
}

impl DocumentedRouter {
    pub fn new(tag: &'static str, access: RouteAccess, common_errors: &'static [ErrorCode]) -> Self {
        Self { router: ApiRouter::new(), docs: Vec::new(), tag, access, common_errors }
    }

    methods! {
        get: get_with;
        post: post_with;
        put: put_with;
        patch: patch_with;
        delete: delete_with;
    }

    fn add(mut self, path: &str, route: routing::ApiMethodRouter<AppState>, doc: OperationDoc) -> Self {
        let Self { tag, access, common_errors, .. } = self;
        self.docs.push(GroupedDoc { doc, tag, access, common_errors });
        Self { router: self.router.api_route(path, route), ..self }
    }

    /// Adds the routes of another group.
    pub fn merge(mut self, other: Self) -> Self {
        self.docs.extend(other.docs);
        Self { router: self.router.merge(other.router), ..self }
    }

    /// Adds the routes of another group under a prefix.
    pub fn nest(mut self, prefix: &str, other: Self) -> Self {
        self.docs.extend(other.docs);
        Self { router: self.router.nest(prefix, other.router), ..self }
    }

    /// Puts a layer around the routes, not around paths and methods that are none.
    pub fn route_layer<L>(self, layer: L) -> Self
    where
        L: Layer<Route> + Clone + Send + Sync + 'static,
        L::Service: Service<Request> + Clone + Send + Sync + 'static,
        <L::Service as Service<Request>>::Response: IntoResponse + 'static,
        <L::Service as Service<Request>>::Error: Into<Infallible> + 'static,
        <L::Service as Service<Request>>::Future: Send + 'static,
    {
        Self { router: self.router.route_layer(layer), ..self }
    }

    /// The routes, what `aide` made of their types, and what their groups say.
    pub fn finish(self) -> (Router<AppState>, OpenApi, Vec<GroupedDoc>) {
        let mut api = OpenApi::default();
        let router = self.router.finish_api(&mut api);
        (router, api, self.docs)
    }
}
