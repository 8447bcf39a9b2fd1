//! A change of the core as one DynamoDB update with its condition.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use roundtrip_core::lifecycle::{Change, Term, Value, attribute as a};

use super::item;

/// The expressions of an `UpdateItem`.
#[derive(Debug, Default)]
pub(super) struct Expression {
    pub(super) update: String,
    pub(super) condition: String,
    pub(super) names: HashMap<String, String>,
    pub(super) values: HashMap<String, AttributeValue>,
}

impl Expression {
    pub(super) fn of(change: &Change) -> Self {
        let mut expression = Self::default();
        let terms: Vec<_> = change.only_if.iter().map(|term| expression.term(term)).collect();
        expression.condition = terms.join(" AND ");
        let set: Vec<_> = change
            .set
            .iter()
            .map(|(name, value)| format!("{} = {}", expression.name(name), expression.value(value)))
            .collect();
        let remove: Vec<_> = change.remove.iter().map(|name| expression.name(name)).collect();
        let clauses = [("SET", set), ("REMOVE", remove)];
        let clauses = clauses.iter().filter(|(_, parts)| !parts.is_empty());
        let clauses: Vec<_> = clauses
            .map(|(clause, parts)| format!("{clause} {}", parts.join(", ")))
            .collect();
        expression.update = clauses.join(" ");
        expression
    }

    fn term(&mut self, term: &Term) -> String {
        match term {
            Term::Missing(name) => format!("attribute_not_exists({})", self.name(name)),
            Term::Exists => format!("attribute_exists({})", self.name(a::CLIENT)),
            Term::Is(name, value) => format!("{} = {}", self.name(name), self.value(value)),
            Term::Generation(0) => {
                let (name, zero) = (self.name(a::RETRIES), self.value(&Value::Number(0)));
                format!("(attribute_not_exists({name}) OR {name} = {zero})")
            }
            Term::Generation(generation) => {
                format!(
                    "{} = {}",
                    self.name(a::RETRIES),
                    self.value(&Value::Number((*generation).into()))
                )
            }
            Term::Finished => {
                let name = self.name(a::STATUS);
                let completed = self.value(&Value::Text("COMPLETED".to_owned()));
                let error = self.value(&Value::Text("ERROR".to_owned()));
                format!("{name} IN ({completed}, {error})")
            }
            // Moments are texts that sort as they follow on one another.
            Term::NotAfter(name, moment) => {
                format!("{} <= {}", self.name(name), self.value(&Value::Time(*moment)))
            }
        }
    }

    fn name(&mut self, name: &str) -> String {
        let placeholder = format!("#{name}");
        self.names.insert(placeholder.clone(), name.to_owned());
        placeholder
    }

    fn value(&mut self, value: &Value) -> String {
        let placeholder = format!(":{}", self.values.len());
        self.values.insert(placeholder.clone(), item::attribute(value));
        placeholder
    }
}
