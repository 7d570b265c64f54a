//! The text in which Prometheus gets metrics, as our exporter writes it.
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// A metric, with all its labels.
#[derive(Debug)]
pub struct Family<'a> {
    pub name: &'a str,
    pub help: &'a str,
    pub kind: Kind,
    pub samples: Vec<Sample<'a>>,
}

#[derive(Debug)]
pub struct Sample<'a> {
    /// Of a histogram with what it is the number of: `_bucket`, `_sum`, `_count`.
    pub name: &'a str,
    pub labels: Vec<(&'a str, String)>,
    pub value: f64,
}

impl Family<'_> {
    fn has(&self, sample: &str) -> bool {
        match (self.kind, sample.strip_prefix(self.name)) {
            (Kind::Histogram, Some(part)) => ["_bucket", "_sum", "_count"].contains(&part),
            (_, part) => part == Some(""),
        }
    }
}

/// The metrics in a text. What is of another kind is left out.
pub fn families(text: &str) -> Vec<Family<'_>> {
    let (mut families, mut help) = (Vec::<Family<'_>>::new(), ("", ""));
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ').unwrap_or((rest, ""));
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            let kind = match kind {
                "counter" => Kind::Counter,
                "gauge" => Kind::Gauge,
                "histogram" => Kind::Histogram,
                _ => continue,
            };
            let help = if help.0 == name { help.1 } else { "" };
            families.push(Family { name, help, kind, samples: Vec::new() });
        } else if let Some(sample) = sample(line)
            && let Some(family) = families.last_mut().filter(|family| family.has(sample.name))
        {
            family.samples.push(sample);
        }
    }
    families
}

fn sample(line: &str) -> Option<Sample<'_>> {
    let end = line.find(['{', ' '])?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = Vec::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        while !rest.starts_with('}') {
            let (label, quoted) = rest.trim_start_matches(',').split_once("=\"")?;
            let (value, length) = unescaped(quoted)?;
            labels.push((label, value));
            rest = &quoted[length..];
        }
        rest = &rest[1..];
    }
    Some(Sample { name, labels, value: rest.trim().parse().ok()? })
}

/// What stands before the next quote, and how long it is with it.
fn unescaped(quoted: &str) -> Option<(String, usize)> {
    let (mut value, mut chars) = (String::new(), quoted.char_indices());
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Some((value, at + 1)),
            '\\' => match chars.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_may_hold_anything() {
        let text = "# TYPE a counter\na{x=\"}, \\\"y\\\\\\n\",z=\"\"} 2.5\nb 1\n# TYPE ab summary\nab 1\n";
        let families = families(text);
        let [a] = &families[..] else { panic!("{families:?}") };
        let [sample] = &a.samples[..] else { panic!("of others: {:?}", a.samples) };
        assert_eq!(sample.labels, [("x", "}, \"y\\\n".to_owned()), ("z", String::new())]);
        assert_eq!(sample.value, 2.5);
    }

    #[test]
    fn what_is_cut_off_is_no_sample() {
        for line in ["a{", "a{b=\"c", "a{b=\"c\"", "a{b=\"c\\", "a", "a x", ""] {
            assert!(sample(line).is_none(), "{line}");
        }
    }
}
