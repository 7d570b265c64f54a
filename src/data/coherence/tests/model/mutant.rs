//! The rules of the protocol, one by one left out.

use super::scenario::{self, Scenario};

/// What is left out, or done wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// Values are served whatever their fence.
    NoFence,
    /// Values are served whatever the token.
    NoToken,
    /// Values are served whatever the bound.
    NoBound,
    /// What a primary answers is stamped with how far its log is.
    StampOfLog,
    /// It is stamped with what the feed was told, shown or not.
    StampOfTold,
    /// What a replica answers is stamped with a position that is looked at with the rows, or after them.
    StampAfterRows,
    /// A row that was written is stamped with its writer's token.
    StampOfWriter,
    /// What is known of a replica's position holds when it was restarted.
    KeptOverRestart,
    /// A replica is asked whatever is needed.
    NoNeed,
    /// The rows that come with a list go to whom it was asked for as they came.
    RowsForgotten,
    /// Who joins a load that a primary is asked for already has its result unseen.
    NoSecondLook,
    /// A feed that begins anew does not raise the floor.
    NoFloor,
    /// A feed that begins anew does not wait for who was at work.
    NoWait,
    /// A commit does not tell what went before it.
    NoGap,
    /// A commit that touches too much raises nothing.
    NothingOfLarge,
    /// A rewrite that was noticed raises the floor to the end of the log, and not past it.
    FloorAtEnd,
    /// A commit counts as told before it was looked for rewrites.
    ToldUnseen,
    /// A row that is told late is kept, whatever was lost or rewritten after it.
    LateRow,
    /// A row that leaves a list touches only the one to which it goes.
    OnlyNewList,
    /// The applied position moves on before the primary shows it.
    NoBarrier,
    /// A word of the feed that nothing follows moves it on, whatever went before.
    KeepaliveFirst,
    /// It moves on before the fences are raised.
    AppliedFirst,
    /// Readers look at the fences, then at how far they were told.
    FencesFirst,
    /// Whoever fills a tier sets the fence to its stamp.
    FillSetsFence,
    /// Values of another history are found in the tiers.
    OneUniverse,
    /// Loads that began in another history are joined.
    FlightsOutlive,
}

impl Mutant {
    pub const ALL: [Self; 26] = [
        Self::NoFence,
        Self::NoToken,
        Self::NoBound,
        Self::StampOfLog,
        Self::StampOfTold,
        Self::StampAfterRows,
        Self::StampOfWriter,
        Self::KeptOverRestart,
        Self::NoNeed,
        Self::RowsForgotten,
        Self::NoSecondLook,
        Self::NoFloor,
        Self::NoWait,
        Self::NoGap,
        Self::NothingOfLarge,
        Self::FloorAtEnd,
        Self::ToldUnseen,
        Self::LateRow,
        Self::OnlyNewList,
        Self::NoBarrier,
        Self::KeepaliveFirst,
        Self::AppliedFirst,
        Self::FencesFirst,
        Self::FillSetsFence,
        Self::OneUniverse,
        Self::FlightsOutlive,
    ];

    /// Where it is noticed.
    pub fn scenario(self) -> &'static Scenario {
        match self {
            Self::NoFence
            | Self::NoToken
            | Self::NoBound
            | Self::StampOfLog
            | Self::StampOfTold
            | Self::NoSecondLook
            | Self::NoBarrier
            | Self::KeepaliveFirst
            | Self::AppliedFirst => &scenario::FEED,
            Self::NoFloor | Self::NoWait => &scenario::RECONNECT,
            Self::FloorAtEnd | Self::ToldUnseen | Self::LateRow => &scenario::REWRITE,
            Self::NoGap => &scenario::GAP,
            Self::StampAfterRows | Self::KeptOverRestart | Self::NoNeed => &scenario::REPLICA,
            Self::RowsForgotten => &scenario::ROWS,
            Self::NothingOfLarge | Self::OnlyNewList => &scenario::LISTS,
            Self::StampOfWriter | Self::FillSetsFence => &scenario::WRITERS,
            Self::FencesFirst => &scenario::ORDER,
            Self::OneUniverse | Self::FlightsOutlive => &scenario::FAILOVER,
        }
    }
}
