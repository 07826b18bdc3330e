//! From a time as written to a moment: the host's zone, the year that syslog leaves out, and a clock that goes wrong.
//!
//! It asks no clock: what time it is, and how far a host's clock is off, is told to it.

use crate::line::stamp::{DAY_US, Stamp, Zone, date, days};
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{AmbiguousOffset, TimeZone};

/// Microseconds since 1970.
pub type Moment = i64;

/// How much later than the last change of its file a line may be; more means that it is from the year before.
const YEAR_SLACK_US: i64 = DAY_US;

/// Offsets are the same within this time: no zone changes its own but at half an hour.
const OFFSET_US: i64 = 1_800_000_000;

/// Going back by more than this within the hour that comes twice means that it is the second one; lines of busy threads
/// are out of order by less.
const FOLD_US: i64 = 5_000_000;

/// How a host's clock is to be read.
#[derive(Clone, Debug)]
pub struct Clock {
    zone: TimeZone,
    newest: Moment,
    ahead_us: i64,
    kept: Option<(i64, i64, i64)>,
    last: Moment,
}

impl Clock {
    /// A clock in a zone. `newest` is when the last line can have been written; `ahead_us` is how far the host's clock is
    /// ahead of ours.
    pub fn new(zone: TimeZone, newest: Moment, ahead_us: i64) -> Clock {
        Clock { zone, newest, ahead_us, kept: None, last: Moment::MIN }
    }

    /// UTC and right.
    pub fn utc(newest: Moment) -> Clock {
        Clock::new(TimeZone::UTC, newest, 0)
    }

    /// The moment that a written time means.
    pub fn moment(&mut self, stamp: Stamp) -> Moment {
        let civil = match stamp.zone {
            Zone::Stated => return self.told(stamp.civil_us),
            Zone::Wall => stamp.civil_us,
            Zone::NoYear => self.with_year(stamp.civil_us),
        };
        let (early, late) = self.offsets(civil);
        let first = civil - early;
        // An hour comes twice when summer time ends: the second time it goes on from where the first one ended.
        let moment =
            if early != late && self.last > first.saturating_add(FOLD_US) { civil - late } else { first };
        self.told(moment)
    }

    fn told(&mut self, moment: Moment) -> Moment {
        self.last = moment;
        moment - self.ahead_us
    }

    fn with_year(&self, civil: i64) -> i64 {
        let (_, month, day) = date(civil.div_euclid(DAY_US));
        let of_day = civil.rem_euclid(DAY_US);
        let (year, _, _) = date(self.newest.div_euclid(DAY_US));
        let in_year = |year: i64| days(year, month, day) * DAY_US + of_day;
        (0..8)
            .map(|back| in_year(year + 1 - back))
            // The 29th of February exists only in some years.
            .find(|at| *at <= self.newest + YEAR_SLACK_US && date(at.div_euclid(DAY_US)).2 == day)
            .unwrap_or_else(|| in_year(year))
    }

    /// Both offsets that a civil time may have, in microseconds; nearly always the same.
    fn offsets(&mut self, civil: i64) -> (i64, i64) {
        let slot = civil.div_euclid(OFFSET_US);
        match self.kept {
            Some((kept, early, late)) if kept == slot => return (early, late),
            _ => {}
        }
        let (early, late) = self.look_up(civil).unwrap_or((0, 0));
        self.kept = Some((slot, early, late));
        (early, late)
    }

    fn look_up(&self, civil: i64) -> Option<(i64, i64)> {
        let (year, month, day) = date(civil.div_euclid(DAY_US));
        let seconds = civil.rem_euclid(DAY_US) / 1_000_000;
        let day =
            Date::new(i16::try_from(year).ok()?, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()?;
        let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        let time =
            Time::new(i8::try_from(hour).ok()?, i8::try_from(minute).ok()?, i8::try_from(second).ok()?, 0)
                .ok()?;
        let us = |offset: jiff::tz::Offset| i64::from(offset.seconds()) * 1_000_000;
        Some(match self.zone.to_ambiguous_timestamp(DateTime::from_parts(day, time)).offset() {
            AmbiguousOffset::Unambiguous { offset } => (us(offset), us(offset)),
            AmbiguousOffset::Gap { before, .. } => (us(before), us(before)),
            AmbiguousOffset::Fold { before, after } => (us(before), us(after)),
        })
    }
}

/// A moment as text: `2026-11-21T18:40:02.114123Z`.
pub fn text(moment: Moment) -> String {
    let mut out = Vec::with_capacity(28);
    write(moment, &mut out);
    String::from_utf8(out).unwrap_or_default()
}

/// The same, at the end of a buffer.
pub fn write(moment: Moment, out: &mut Vec<u8>) {
    let (year, month, day) = date(moment.div_euclid(DAY_US));
    let of_day = moment.rem_euclid(DAY_US);
    let seconds = of_day / 1_000_000;
    let mut number = |value: i64, digits: usize, end: u8| {
        let at = out.len();
        out.resize(at + digits, b'0');
        let mut rest = value.unsigned_abs();
        for place in (at..at + digits).rev() {
            out[place] = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        out.push(end);
    };
    number(year, 4, b'-');
    number(month, 2, b'-');
    number(day, 2, b'T');
    number(seconds / 3600, 2, b':');
    number(seconds / 60 % 60, 2, b':');
    number(seconds % 60, 2, b'.');
    number(of_day % 1_000_000, 6, b'Z');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::{Form, When, head};

    fn at(text: &str) -> Moment {
        text.parse::<jiff::Timestamp>().unwrap().as_microsecond()
    }

    fn wall(text: &str) -> Stamp {
        When::Iso(text.as_bytes()).stamp().unwrap()
    }

    #[test]
    fn a_moment_is_told_as_it_was_read() {
        assert_eq!(text(at("2026-11-21T18:40:02.114Z")), "2026-11-21T18:40:02.114000Z");
        assert_eq!(text(0), "1970-01-01T00:00:00.000000Z");
        assert_eq!(text(-1), "1969-12-31T23:59:59.999999Z");
    }

    #[test]
    fn a_wall_clock_is_read_in_its_zone_and_corrected() {
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        let mut clock = Clock::new(berlin, at("2026-12-01T00:00:00Z"), 830_000);
        assert_eq!(text(clock.moment(wall("2026-11-21 19:40:02.114"))), "2026-11-21T18:40:01.284000Z");
        assert_eq!(text(clock.moment(wall("2026-07-21 19:40:02.114"))), "2026-07-21T17:40:01.284000Z");
        assert_eq!(text(clock.moment(wall("2026-07-21T19:40:02.114Z"))), "2026-07-21T19:40:01.284000Z");
    }

    #[test]
    fn the_hour_that_comes_twice_goes_on() {
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        let mut clock = Clock::new(berlin, at("2026-12-01T00:00:00Z"), 0);
        let told: Vec<String> = ["02:10", "02:59", "02:01", "02:59", "03:00"]
            .iter()
            .map(|time| text(clock.moment(wall(&format!("2026-10-25 {time}:00.000")))))
            .collect();
        let hours: Vec<&str> = told.iter().map(|text| &text[11..16]).collect();
        assert_eq!(hours, ["00:10", "00:59", "01:01", "01:59", "02:00"]);
    }

    #[test]
    fn the_year_that_is_left_out_comes_from_the_file() {
        let mut clock = Clock::utc(at("2026-01-03T00:00:00Z"));
        let year = |clock: &mut Clock, line: &str| {
            let head = head(line.as_bytes(), b"").unwrap();
            assert_eq!(head.form, Form::Syslog);
            text(clock.moment(head.when.stamp().unwrap()))[..10].to_owned()
        };
        assert_eq!(year(&mut clock, "Dec 31 23:59:59 ctl1 cron[1]: x"), "2025-12-31");
        assert_eq!(year(&mut clock, "Jan  2 00:00:01 ctl1 cron[1]: x"), "2026-01-02");
        assert_eq!(year(&mut clock, "Feb 29 00:00:01 ctl1 cron[1]: x"), "2024-02-29");
    }
}
