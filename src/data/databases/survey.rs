//! What a PostgreSQL server says of itself: who it is, what it is, how far it is.

use std::time::Instant;

use sqlx::postgres::PgConnection;
use sqlx::{Connection, Row};

use crate::data::position::{Position, Universe};

/// One run of one server. Positions belong to it: a replica that was killed may come back with less than it had shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::data) struct Incarnation {
    /// The system identifier: the same for a primary and its replicas.
    pub system: i64,
    /// When it was started, by its own clock, in microseconds since 1970.
    pub started: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::data) enum Role {
    Primary {
        timeline: u32,
        /// Whether it refuses writes all the same.
        read_only: bool,
    },
    Replica {
        /// The timeline of its last restart point: that of what it has replayed, or an earlier one.
        restarted: u32,
        /// The timeline of what it last received: that of what it has replayed, or a later one with the same past. None
        /// where nothing is received, or the role may not see it.
        received: Option<u32>,
    },
}

/// An answer of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::data) struct Survey {
    pub incarnation: Incarnation,
    /// The database's oid.
    pub database: i64,
    pub role: Role,
    /// Of the primary what is flushed, of a replica what is replayed. What is asked later shows at least that much on a
    /// replica; on the primary it need not.
    pub position: Position,
    /// Before it was asked.
    pub asked: Instant,
}

/// Why a server may not answer for the primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::data) enum Unfit {
    /// It is a primary itself.
    Promoted,
    /// It replays another system, or has another of its databases.
    Stranger,
    /// It replays another timeline, or does not say which.
    OtherTimeline,
}

impl Unfit {
    pub fn why(self) -> &'static str {
        match self {
            Self::Promoted => "not a replica: it takes writes itself",
            Self::Stranger => "a replica of another system, or another database of it",
            Self::OtherTimeline => {
                "on another timeline than the primary, or not known to be on its own (grant pg_read_all_stats)"
            }
        }
    }
}

// `pg_control_checkpoint()` is late, by as much as the time between two restart points. That is safe for a replica, and
// the reason why `received` is looked at too; of the primary the timeline is that of the WAL file it writes.
const QUESTION: &str = "
    select s.system_identifier as system, d.oid::int8 as database,
        (extract(epoch from pg_postmaster_start_time()) * 1000000)::int8 as started,
        pg_is_in_recovery() as in_recovery,
        current_setting('transaction_read_only') = 'on' as read_only,
        case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_flush_lsn() end::text as position,
        case when pg_is_in_recovery() then c.timeline_id::int8
            else ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int8 end as timeline,
        (select received_tli::int8 from pg_stat_wal_receiver) as received
    from pg_control_system() s, pg_control_checkpoint() c, pg_database d
    where d.datname = current_database()";

impl Survey {
    pub async fn of(connection: &mut PgConnection) -> Result<Self, sqlx::Error> {
        let asked = Instant::now();
        let row = sqlx::query(QUESTION).fetch_one(connection).await?;
        let timeline = |number: i64| u32::try_from(number).unwrap_or_default();
        let restarted = timeline(row.try_get("timeline")?);
        let role = if row.try_get("in_recovery")? {
            Role::Replica { restarted, received: row.try_get::<Option<i64>, _>("received")?.map(timeline) }
        } else {
            Role::Primary { timeline: restarted, read_only: row.try_get("read_only")? }
        };
        // A replica that has replayed nothing yet is nowhere.
        let position = row.try_get::<Option<String>, _>("position")?.and_then(|text| text.parse().ok());
        Ok(Self {
            incarnation: Incarnation { system: row.try_get("system")?, started: row.try_get("started")? },
            database: row.try_get("database")?,
            role,
            position: position.unwrap_or_default(),
            asked,
        })
    }

    /// The universe that a primary's positions are of.
    pub fn universe(&self) -> Option<Universe> {
        match self.role {
            Role::Primary { timeline, .. } => Some(Universe::of(self.incarnation.system, self.database, timeline)),
            Role::Replica { .. } => None,
        }
    }

    /// The timeline of a primary.
    pub fn timeline(&self) -> Option<u32> {
        match self.role {
            Role::Primary { timeline, .. } => Some(timeline),
            Role::Replica { .. } => None,
        }
    }

    /// Whether another answer is of the same run of the same server, and of the same history.
    pub fn is_of_same(&self, other: &Self) -> bool {
        self.incarnation == other.incarnation && self.universe() == other.universe()
    }

    /// Whether what this server shows is a past of what `primary` shows.
    pub fn fits(&self, primary: &Self) -> Result<(), Unfit> {
        let Role::Replica { restarted, received } = self.role else { return Err(Unfit::Promoted) };
        if (self.incarnation.system, self.database) != (primary.incarnation.system, primary.database) {
            return Err(Unfit::Stranger);
        }
        match primary.role {
            Role::Primary { timeline, .. } if restarted == timeline || received == Some(timeline) => Ok(()),
            _ => Err(Unfit::OtherTimeline),
        }
    }
}

/// Ends a connection; whether the server hears the farewell makes no difference.
pub(super) async fn farewell(connection: PgConnection) {
    let _ = connection.close().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn survey(system: i64, role: Role) -> Survey {
        let incarnation = Incarnation { system, started: 0 };
        Survey { incarnation, database: 5, role, position: Position(1), asked: Instant::now() }
    }

    #[test]
    fn a_replica_fits_only_a_primary_with_its_past() {
        let primary = survey(1, Role::Primary { timeline: 2, read_only: false });
        let replica =
            |system, restarted, received| survey(system, Role::Replica { restarted, received }).fits(&primary);
        assert_eq!(replica(1, 2, None), Ok(()));
        assert_eq!(replica(1, 2, Some(2)), Ok(()));
        // Since the failover there was no restart point.
        assert_eq!(replica(1, 1, Some(2)), Ok(()));
        assert_eq!(replica(1, 1, Some(1)), Err(Unfit::OtherTimeline));
        assert_eq!(replica(1, 1, None), Err(Unfit::OtherTimeline));
        assert_eq!(replica(1, 3, Some(3)), Err(Unfit::OtherTimeline));
        assert_eq!(replica(9, 2, Some(2)), Err(Unfit::Stranger));
        assert_eq!(primary.fits(&primary), Err(Unfit::Promoted));
    }
}
