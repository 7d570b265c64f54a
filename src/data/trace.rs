//! Traces: what a request or a job did, and when, for whoever collects that (OpenTelemetry).
//!
//! Whether a request is traced is decided when it comes, and for a job when it is begun. One that is not carries an empty
//! [`Trace`], and costs what it takes to see that: no name, no attribute is made for it. Names and attributes are those of the
//! semantic conventions where there are such; ours begin with `shoal.`. No value of a client's is in any.

use std::borrow::Cow;

use opentelemetry::propagation::Extractor;
use opentelemetry::trace::{SpanKind, Status, TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue, global};

/// The name under which our spans are known.
const SCOPE: &str = "shoal";

/// Decides which requests and jobs are traced; by default none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Choice {
    is_on: bool,
    ratio: f64,
    follows: bool,
}

impl Choice {
    /// Such a part of the requests, or those whose callers say so if it follows them.
    pub fn new(ratio: f64, follows: bool) -> Self {
        Self { is_on: true, ratio, follows }
    }

    /// Begins the span of a request, if that is traced. It is part of its caller's trace in any case.
    pub fn begin(self, headers: &dyn Extractor, about: impl FnOnce() -> About) -> Span {
        if !self.is_on {
            return Span::default();
        }
        let caller = Trace::of_caller(headers);
        let is_traced = match caller.is_sampled() {
            Some(is_sampled) if self.follows => is_sampled,
            _ => fastrand::f64() < self.ratio,
        };
        if is_traced { caller.begin(about()) } else { Span::default() }
    }

    /// Begins the span of what nobody waits for, such a part of it: the first of a trace of its own.
    pub fn root(self, about: impl FnOnce() -> About) -> Span {
        let is_traced = self.is_on && fastrand::f64() < self.ratio;
        if is_traced { Trace::default().begin(about()) } else { Span::default() }
    }
}

/// Where in a trace something happens; empty where nothing is traced. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Trace(Option<Context>);

/// Something that takes its time: from when it is made until it is dropped.
#[derive(Debug, Default)]
#[must_use = "it ends when it is dropped"]
pub struct Span(Trace);

/// What is known of a span when it begins.
pub struct About {
    pub name: Cow<'static, str>,
    pub kind: SpanKind,
    pub attributes: Vec<KeyValue>,
}

impl Trace {
    /// The place in a trace at which whoever asks us is, by the headers of W3C; empty if they say nothing of it.
    fn of_caller(headers: &dyn Extractor) -> Self {
        let context = global::get_text_map_propagator(|propagator| propagator.extract(headers));
        Self(context.span().span_context().is_valid().then_some(context))
    }

    /// Whether whoever asks us has this traced. None if that is not known.
    fn is_sampled(&self) -> Option<bool> {
        self.0.as_ref().map(|context| context.span().span_context().is_sampled())
    }

    /// Begins a span even if nobody asks us in one.
    fn begin(self, about: About) -> Span {
        let parent = self.0.unwrap_or_default();
        let tracer = global::tracer(SCOPE);
        let About { name, kind, attributes } = about;
        let span = tracer.span_builder(name).with_kind(kind).with_attributes(attributes);
        let span = span.start_with_context(&tracer, &parent);
        Span(Self(Some(parent.with_span(span))))
    }

    /// A span within this one, if this is traced.
    pub fn span(&self, about: impl FnOnce() -> About) -> Span {
        match self.0 {
            Some(_) => self.clone().begin(about()),
            None => Span::default(),
        }
    }

    /// Says more of what this is.
    pub fn note(&self, attributes: impl FnOnce() -> Vec<KeyValue>) {
        if let Some(context) = &self.0 {
            context.span().set_attributes(attributes());
        }
    }

    /// Says that it went wrong. The kind is one of few, and says nothing that is not to be told.
    pub fn fail(&self, kind: impl Into<Cow<'static, str>>) {
        if let Some(context) = &self.0 {
            let kind = kind.into();
            context.span().set_attribute(KeyValue::new("error.type", kind.clone()));
            context.span().set_status(Status::error(kind));
        }
    }

    /// Whether this is traced.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Its place, as whoever was asked tells it to whoever asked (W3C Trace Context, Level 2: `traceresponse`).
    pub fn response(&self) -> Option<String> {
        let context = self.0.as_ref()?.span().span_context().clone();
        Some(format!("00-{}-{}-{:02x}", context.trace_id(), context.span_id(), context.trace_flags()))
    }

    /// The id of the trace, for the log.
    pub fn id(&self) -> Option<String> {
        Some(self.0.as_ref()?.span().span_context().trace_id().to_string())
    }
}

impl Span {
    pub fn trace(&self) -> &Trace {
        &self.0
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        if let Some(context) = &self.0.0 {
            context.span().end();
        }
    }
}
