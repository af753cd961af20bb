//! What follows for a message and its reader, whichever way the word of it came.

use super::Effect;
use crate::base::token::Token;
use crate::domain::bounce::Judged;
use crate::domain::suppression::{SCOPE_ALL, SuppressionReason};
use crate::domain::touch::{TouchClass, TouchKind};
use crate::inbound::Recipient;
use crate::queue::returned::{self, Report};
use crate::store::strike::{self, Strike};
use crate::store::suppression::{self, Suppression};
use crate::store::touch::{self, Addressee, Touch};
use crate::store::{Conn, StoreError, breaker, consent};

/// Records what follows, in the caller's transaction.
pub struct Recorder<'c> {
    /// The way the word came in: `smtp`, `maildir`, `ses/main`.
    pub source: &'c str,
    /// What kind of word it was, for proofs.
    pub kind: &'c str,
    /// How a reader asked for no more, for the consent log.
    pub way: &'static str,
    pub now_ms: i64,
}

impl Recorder<'_> {
    /// The message came back: it is settled, and counts against its address.
    pub async fn bounce(
        &self,
        mut conn: Conn<'_>,
        token: &Token,
        to: &Addressee,
        one: &Recipient,
        judged: &Judged,
    ) -> Result<Effect, StoreError> {
        let enhanced = one.enhanced.map(|(class, subject, detail)| format!("{class}.{subject}.{detail}"));
        let report = Report {
            run_id: i64::from(token.run),
            id: token.message,
            at_ms: self.now_ms,
            source: self.source,
            class: judged.class.as_str(),
            code: one.code,
            enhanced,
            text: &one.words,
        };
        if !returned::bounce(conn.again(), &report).await? {
            return Ok(Effect::None);
        }
        let is_suppressed = self.strike(conn, to.addr_key, judged).await?;
        Ok(if is_suppressed { Effect::Suppressed } else { Effect::Bounced })
    }

    /// Counts a bounce against an address. Whether that was enough to suppress it.
    pub async fn strike(&self, conn: Conn<'_>, addr_key: Option<i64>, judged: &Judged) -> Result<bool, StoreError> {
        let Some((addr_key, threshold)) = addr_key.zip(judged.threshold) else { return Ok(false) };
        let strike = Strike { addr_key, class: judged.class, threshold, at_ms: self.now_ms };
        Ok(!strike::record(conn, &[strike], self.source).await?.is_empty())
    }

    /// The reader called the mail spam: no more mail at all.
    pub async fn complaint(&self, mut conn: Conn<'_>, token: &Token, to: &Addressee) -> Result<Effect, StoreError> {
        breaker::complained(conn.again(), i64::from(token.run), token.message, self.now_ms).await?;
        if let Some(member_id) = to.member_id {
            consent::revoke(conn.again(), member_id, &to.doc.topic, "complaint", &self.proof(token), self.now_ms)
                .await?;
        }
        if let Some(addr_key) = to.addr_key {
            let entry = self.entry(SCOPE_ALL, SuppressionReason::Complaint);
            suppression::suppress(conn.again(), addr_key, &entry).await?;
        }
        Ok(Effect::Complained)
    }

    /// Stops mail on the message's topic, as its page would.
    pub async fn stop(&self, mut conn: Conn<'_>, token: &Token, to: &Addressee) -> Result<Effect, StoreError> {
        if let Some(member_id) = to.member_id {
            let proof = self.proof(token);
            consent::revoke(conn.again(), member_id, &to.doc.topic, self.way, &proof, self.now_ms).await?;
        } else if let Some(addr_key) = to.addr_key {
            let entry = self.entry(&to.doc.topic, SuppressionReason::Unsubscribe);
            suppression::suppress(conn.again(), addr_key, &entry).await?;
        }
        touch::append(conn, &[self.touch(token)]).await?;
        Ok(Effect::Unsubscribed)
    }

    /// Stops mail on every topic of a reader who asked for no more without saying of what.
    pub async fn stop_all(&self, mut conn: Conn<'_>, token: &Token, to: &Addressee) -> Result<Effect, StoreError> {
        if let Some(member_id) = to.member_id {
            for standing in consent::of_member(conn.again(), member_id).await? {
                let proof = self.proof(token);
                consent::revoke(conn.again(), member_id, &standing.topic, self.way, &proof, self.now_ms).await?;
            }
        }
        self.stop(conn, token, to).await
    }

    fn touch(&self, token: &Token) -> Touch {
        Touch {
            at_ms: self.now_ms,
            run: token.run,
            message: token.message,
            kind: TouchKind::Unsubscribe,
            class: TouchClass::Human,
            slot: 0,
            product: 0,
            url: None,
            method: "MAIL",
            agent: String::new(),
            ip: std::net::Ipv4Addr::UNSPECIFIED.into(),
        }
    }

    fn entry(&self, scope: &str, reason: SuppressionReason) -> Suppression {
        let source = self.source.to_owned();
        Suppression { scope: scope.to_owned(), reason, source, at_ms: self.now_ms, expires_at_ms: None }
    }

    fn proof(&self, token: &Token) -> String {
        format!("message {} of run {}, {} by {}", token.message, token.run, self.kind, self.source)
    }
}
