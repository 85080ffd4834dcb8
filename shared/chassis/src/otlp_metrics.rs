//! Turns our own OpenMetrics text into OTLP's JSON, so that both show the same figures. Pure.
//!
//! OTLP: opentelemetry-proto 1.x, `ExportMetricsServiceRequest` in the JSON form of protobuf: whole numbers of 64 bits are texts.

use crate::metrics_push::MetricsSource;
use serde_json::{Map, Value, json};
use std::{
    collections::BTreeMap,
    time::{SystemTime, UNIX_EPOCH},
};

/// OTLP's number for sums and histograms that count from the start of the process.
const CUMULATIVE: u32 = 2;

/// The body of a request to `/v1/metrics`.
#[must_use]
pub fn to_otlp(open_metrics: &str, source: &MetricsSource, now: SystemTime) -> Value {
    let times = Times { start: nanos(source.started), now: nanos(now) };
    let mut families: Vec<MetricFamily> = Vec::new();
    for line in open_metrics.lines() {
        if let Some(declared) = line.strip_prefix("# TYPE ") {
            if let Some((name, kind)) = declared.split_once(' ') {
                families.push(MetricFamily { name: name.to_owned(), kind: kind.to_owned(), ..MetricFamily::default() });
            }
        } else if let Some(described) = line.strip_prefix("# HELP ") {
            if let (Some((name, help)), Some(family)) = (described.split_once(' '), families.last_mut())
                && family.name == name
            {
                family.help = help.to_owned();
            }
        } else if let (Some(sample), Some(family)) = (Sample::parse(line), families.last_mut()) {
            family.samples.push(sample);
        }
    }
    let metrics: Vec<Value> = families.iter().map(|family| family.to_otlp(times)).collect();
    let resource = [
        ("service.name", format!("kurir-{}", source.service)),
        ("service.instance.id", source.instance.clone()),
        ("service.version", env!("CARGO_PKG_VERSION").to_owned()),
    ];
    let attributes: Vec<Value> = resource.iter().map(|(name, value)| attribute(name, value)).collect();
    json!({"resourceMetrics": [{
        "resource": {"attributes": attributes},
        "scopeMetrics": [{"scope": {"name": "kurir"}, "metrics": metrics}],
    }]})
}

#[derive(Clone, Copy)]
struct Times {
    start: u128,
    now: u128,
}

#[derive(Default)]
struct MetricFamily {
    name: String,
    kind: String,
    help: String,
    samples: Vec<Sample>,
}

/// One line: `name{label="value"} 1 # {trace_id="…"} 0.5`.
#[derive(Debug, PartialEq)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
    /// The trace and the value of an example.
    exemplar: Option<(String, f64)>,
}

impl Sample {
    fn parse(line: &str) -> Option<Self> {
        let (name, labels, rest) = parse_start(line)?;
        let (value, exemplar) =
            rest.split_once(" # ").map_or((rest, None), |(value, exemplar)| (value, Some(exemplar)));
        let exemplar = exemplar.and_then(|text| {
            let (_, mut labels, rest) = parse_start(text)?;
            Some((labels.remove("trace_id")?, rest.split(' ').next()?.parse().ok()?))
        });
        Some(Self { name: name.to_owned(), labels, value: value.split(' ').next()?.parse().ok()?, exemplar })
    }
}

/// The name, the labels, and what follows them.
fn parse_start(line: &str) -> Option<(&str, BTreeMap<String, String>, &str)> {
    let name_ends = line.find(['{', ' '])?;
    let (name, mut rest) = line.split_at(name_ends);
    let mut labels = BTreeMap::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        while !rest.starts_with('}') {
            let (label, quoted) = rest.split_once("=\"")?;
            let (value, after) = unquote(quoted)?;
            labels.insert(label.trim_start_matches(',').to_owned(), value);
            rest = after;
        }
        rest = &rest[1..];
    }
    Some((name, labels, rest.trim_start()))
}

/// The text up to the closing quote without its escapes, and what follows the quote.
fn unquote(quoted: &str) -> Option<(String, &str)> {
    let mut text = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((text, &quoted[at + 1..])),
            '\\' => text.push(match characters.next()?.1 {
                'n' => '\n',
                escaped => escaped,
            }),
            _ => text.push(character),
        }
    }
    None
}

impl MetricFamily {
    fn to_otlp(&self, times: Times) -> Value {
        let mut metric = Map::new();
        metric.insert("name".to_owned(), json!(self.name));
        metric.insert("description".to_owned(), json!(self.help));
        let (kind, data) = match self.kind.as_str() {
            "counter" => {
                let points = self.points(times);
                ("sum", json!({"isMonotonic": true, "aggregationTemporality": CUMULATIVE, "dataPoints": points}))
            }
            "histogram" => {
                let points = self.histogram_points(times);
                ("histogram", json!({"aggregationTemporality": CUMULATIVE, "dataPoints": points}))
            }
            // Of an info all is in the labels.
            _ => ("gauge", json!({"dataPoints": self.points(times)})),
        };
        metric.insert(kind.to_owned(), data);
        Value::Object(metric)
    }

    fn points(&self, times: Times) -> Vec<Value> {
        let point = |sample: &Sample| {
            json!({
                "attributes": attributes(&sample.labels),
                "startTimeUnixNano": times.start.to_string(),
                "timeUnixNano": times.now.to_string(),
                "asDouble": sample.value,
            })
        };
        self.samples.iter().map(point).collect()
    }

    fn histogram_points(&self, times: Times) -> Vec<Value> {
        let mut series: BTreeMap<BTreeMap<String, String>, HistogramSeries> = BTreeMap::new();
        for sample in &self.samples {
            let mut labels = sample.labels.clone();
            let bound = labels.remove("le");
            let one = series.entry(labels).or_default();
            match (sample.name.strip_prefix(&self.name).unwrap_or_default(), bound) {
                ("_bucket", Some(bound)) => {
                    one.cumulated.push(sample.value);
                    one.bounds.extend(bound.parse::<f64>().ok().filter(|bound| bound.is_finite()));
                    one.exemplars.extend(sample.exemplar.clone());
                }
                ("_sum", _) => one.sum = sample.value,
                ("_count", _) => one.count = sample.value,
                _ => {}
            }
        }
        series.iter().map(|(labels, one)| one.to_otlp(labels, times)).collect()
    }
}

#[derive(Default)]
struct HistogramSeries {
    bounds: Vec<f64>,
    /// What each bucket has, with all that are below.
    cumulated: Vec<f64>,
    sum: f64,
    count: f64,
    exemplars: Vec<(String, f64)>,
}

impl HistogramSeries {
    fn to_otlp(&self, labels: &BTreeMap<String, String>, times: Times) -> Value {
        let below = std::iter::once(0.0).chain(self.cumulated.iter().copied());
        let counts: Vec<String> =
            self.cumulated.iter().zip(below).map(|(upto, below)| format!("{:.0}", upto - below)).collect();
        let exemplar = |(trace, value): &(String, f64)| json!({"traceId": trace, "asDouble": value, "timeUnixNano": times.now.to_string()});
        json!({
            "attributes": attributes(labels),
            "startTimeUnixNano": times.start.to_string(),
            "timeUnixNano": times.now.to_string(),
            "count": format!("{:.0}", self.count),
            "sum": self.sum,
            "bucketCounts": counts,
            "explicitBounds": self.bounds,
            "exemplars": self.exemplars.iter().map(exemplar).collect::<Vec<_>>(),
        })
    }
}

fn attributes(labels: &BTreeMap<String, String>) -> Vec<Value> {
    labels.iter().map(|(name, value)| attribute(name, value)).collect()
}

fn attribute(name: &str, value: &str) -> Value {
    json!({"key": name, "value": {"stringValue": value}})
}

fn nanos(time: SystemTime) -> u128 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{MetricsRegistry, TraceLabel, traced_seconds_histogram};
    use kurir_contract::service::ServiceName;
    use prometheus_client::metrics::{counter::Counter, family::Family, gauge::Gauge};

    #[test]
    fn what_is_pushed_is_what_is_served() {
        let metrics = MetricsRegistry::default();
        let (counter, gauge) = (Family::<Vec<(String, String)>, Counter>::default(), Gauge::<i64>::default());
        let histogram = traced_seconds_histogram();
        metrics.declare_metrics(|registry| {
            registry.register("sends", "Sends, by outcome", counter.clone());
            registry.register("waiting", "What waits", gauge.clone());
            registry.register("wait_seconds", "How long", histogram.clone());
        });
        let odd = "a \"quoted\"\n\\ name".to_owned();
        counter
            .get_or_create(&vec![("outcome".to_owned(), "good".to_owned()), ("name".to_owned(), odd.clone())])
            .inc_by(3);
        gauge.set(7);
        histogram.observe(0.0005, None, None);
        histogram.observe(0.0015, Some(TraceLabel { trace_id: "0af7651916cd43dd8448eb211c80319c".to_owned() }), None);
        histogram.observe(1e9, None, None);

        let source = MetricsSource::new(ServiceName::Api, "one");
        let pushed = to_otlp(&metrics.encode_text(), &source, SystemTime::now());
        let resource = pushed.pointer("/resourceMetrics/0/resource/attributes").cloned().unwrap_or_default();
        assert_eq!(resource[0], json!({"key": "service.name", "value": {"stringValue": "kurir-api"}}));
        let metric = |name: &str| {
            let all = pushed.pointer("/resourceMetrics/0/scopeMetrics/0/metrics").and_then(Value::as_array).unwrap();
            all.iter().find(|metric| metric["name"] == name).cloned().unwrap_or_default()
        };
        let sends = metric("kurir_sends");
        assert_eq!((&sends["sum"]["isMonotonic"], &sends["sum"]["aggregationTemporality"]), (&json!(true), &json!(2)));
        let point = &sends["sum"]["dataPoints"][0];
        assert_eq!(point["asDouble"], 3.0, "{sends}");
        assert_eq!(point["attributes"][0], json!({"key": "name", "value": {"stringValue": odd}}));
        assert_eq!(metric("kurir_waiting")["gauge"]["dataPoints"][0]["asDouble"], 7.0);
        let wait = metric("kurir_wait_seconds")["histogram"]["dataPoints"][0].clone();
        assert_eq!((&wait["count"], &wait["explicitBounds"][1]), (&json!("3"), &json!(0.002)), "{wait}");
        let counts: Vec<_> =
            wait["bucketCounts"].as_array().unwrap().iter().map(|count| count.as_str().unwrap()).collect();
        assert_eq!((counts[0], counts[1], counts[2], *counts.last().unwrap()), ("1", "1", "0", "1"));
        assert_eq!(counts.len(), wait["explicitBounds"].as_array().unwrap().len() + 1);
        assert_eq!(wait["exemplars"][0]["traceId"], "0af7651916cd43dd8448eb211c80319c");
    }
}
