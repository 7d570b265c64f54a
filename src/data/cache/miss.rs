//! Why a tier serves nothing.

use super::far::Missed;
use crate::data::coherence::Verdict;

/// Why a tier did not serve a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Miss {
    /// It is not there.
    Absent,
    BehindFence,
    BehindToken,
    BehindBound,
    Expired,
    /// The tier is left alone after it failed.
    Breaker,
    /// It failed just now.
    Failed,
    /// It was not asked: it seldom has what is asked for.
    Skipped,
    /// It may not be kept, or not now: the settings say so, or what it is read of is not watched.
    Disabled,
}

impl Miss {
    /// In the order in which they are declared.
    pub const ALL: [Self; 9] = [
        Self::Absent,
        Self::BehindFence,
        Self::BehindToken,
        Self::BehindBound,
        Self::Expired,
        Self::Breaker,
        Self::Failed,
        Self::Skipped,
        Self::Disabled,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::BehindFence => "behind_fence",
            Self::BehindToken => "behind_token",
            Self::BehindBound => "behind_bound",
            Self::Expired => "expired",
            Self::Breaker => "breaker",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Disabled => "disabled",
        }
    }

    /// Why the far tier gave nothing.
    pub fn of_far(missed: Missed) -> Self {
        match missed {
            Missed::Breaker => Self::Breaker,
            Missed::Failed => Self::Failed,
        }
    }

    /// Why the rule refuses a value.
    pub fn of(verdict: Verdict) -> Option<Self> {
        match verdict {
            Verdict::Serves => None,
            Verdict::BehindFence => Some(Self::BehindFence),
            Verdict::BehindToken => Some(Self::BehindToken),
            Verdict::BehindBound => Some(Self::BehindBound),
        }
    }
}
