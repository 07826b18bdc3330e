//! Times as they are written in logs: civil time, and what is said of zone and year.
//!
//! It reads positions, never a pattern, and never guesses: what a line does not say is left to `clock`.

/// Microseconds of a day.
pub const DAY_US: i64 = 86_400_000_000;

/// What a time says of its zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zone {
    /// It is stated, and already taken into account.
    Stated,
    /// It is the wall clock of the host.
    Wall,
    /// The wall clock of the host, without a year; the time counts from the beginning of the year 2000.
    NoYear,
}

/// A time as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Microseconds since 1970, as if the written time were UTC unless the zone is stated.
    pub civil_us: i64,
    /// What is said of the zone.
    pub zone: Zone,
}

/// Days since 1970 of a date.
pub fn days(year: i64, month: i64, day: i64) -> i64 {
    // Howard Hinnant's days_from_civil.
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let yoe = y - era * 400;
    let doy = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    let doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    era * 146_097 + doe - 719_468
}

/// The date of days since 1970.
pub fn date(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z - era * 146_097;
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    (yoe + era * 400 + i64::from(month <= 2), month, day)
}

/// A number of digits, all of them.
pub(crate) fn number(text: &[u8]) -> Option<i64> {
    if text.is_empty() || text.len() > 12 {
        return None;
    }
    text.iter().try_fold(0i64, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + i64::from(byte - b'0')))
}

/// The month of an English abbreviation.
pub(crate) fn month(text: &[u8]) -> Option<i64> {
    Some(match text {
        b"Jan" => 1,
        b"Feb" => 2,
        b"Mar" => 3,
        b"Apr" => 4,
        b"May" => 5,
        b"Jun" => 6,
        b"Jul" => 7,
        b"Aug" => 8,
        b"Sep" => 9,
        b"Oct" => 10,
        b"Nov" => 11,
        b"Dec" => 12,
        _ => return None,
    })
}

/// Two digits.
fn two(text: [u8; 2]) -> Option<i64> {
    let [tens, ones] = text.map(|byte| byte.wrapping_sub(b'0'));
    (tens < 10 && ones < 10).then(|| i64::from(tens) * 10 + i64::from(ones))
}

/// `HH:MM:SS`, and microseconds of the day.
fn time_of_day(text: &[u8]) -> Option<i64> {
    let [h1, h2, b':', m1, m2, b':', s1, s2] = *text.first_chunk::<8>()? else { return None };
    let (hour, minute, second) = (two([h1, h2])?, two([m1, m2])?, two([s1, s2])?);
    // A leap second is written as 60.
    (hour < 24 && minute < 60 && second <= 60).then_some(((hour * 60 + minute) * 60 + second) * 1_000_000)
}

fn checked(year: i64, month: i64, day: i64) -> Option<i64> {
    const LENGTHS: [i64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let length = LENGTHS.get(usize::try_from(month - 1).ok()?)? + i64::from(is_leap && month == 2);
    let is_date = (1..=length).contains(&day) && (1970..=9999).contains(&year);
    is_date.then(|| days(year, month, day))
}

/// The length of `YYYY-MM-DD[ T]HH:MM:SS[.,]digits` with its zone, judged by its punctuation only; none: it is no such time.
#[inline]
pub(crate) fn iso_length(line: &[u8]) -> Option<usize> {
    let b = line.get(..19)?;
    let is_iso = b[4] == b'-'
        && b[7] == b'-'
        && (b[10] == b' ' || b[10] == b'T')
        && b[13] == b':'
        && b[16] == b':'
        && b[0].is_ascii_digit()
        && b[3].is_ascii_digit()
        && b[18].is_ascii_digit();
    if !is_iso {
        return None;
    }
    let mut end = 19;
    if line.get(19).is_some_and(|c| *c == b'.' || *c == b',') {
        end = 20;
        while end < line.len() && end < 30 && line[end].is_ascii_digit() {
            end += 1;
        }
    }
    match line.get(end) {
        Some(b'Z') => Some(end + 1),
        Some(b'+' | b'-') => {
            let digits = |from: usize, to: usize| {
                line.get(from..to).is_some_and(|part| part.iter().all(u8::is_ascii_digit))
            };
            if digits(end + 1, end + 3) && line.get(end + 3) == Some(&b':') && digits(end + 4, end + 6) {
                Some(end + 6)
            } else if digits(end + 1, end + 5) {
                Some(end + 5)
            } else {
                Some(end)
            }
        }
        _ => Some(end),
    }
}

/// Reads what `iso_length` measured.
pub(crate) fn iso(text: &[u8]) -> Option<Stamp> {
    let day = checked(number(text.get(..4)?)?, number(text.get(5..7)?)?, number(text.get(8..10)?)?)?;
    let mut us = day * DAY_US + time_of_day(text.get(11..)?)?;
    let mut rest = text.get(19..)?;
    if let Some((b'.' | b',', fraction)) = rest.split_first() {
        let length = fraction.iter().take_while(|c| c.is_ascii_digit()).count();
        us += micros(&fraction[..length])?;
        rest = &fraction[length..];
    }
    let zone = match rest.first() {
        None => Zone::Wall,
        Some(b'Z') => Zone::Stated,
        Some(sign @ (b'+' | b'-')) => {
            let digits: Vec<u8> = rest[1..].iter().copied().filter(u8::is_ascii_digit).collect();
            let minutes = number(digits.get(..2)?)? * 60 + number(digits.get(2..4)?)?;
            us -= minutes * 60_000_000 * if *sign == b'+' { 1 } else { -1 };
            Zone::Stated
        }
        Some(_) => return None,
    };
    Some(Stamp { civil_us: us, zone })
}

fn micros(fraction: &[u8]) -> Option<i64> {
    let kept = &fraction[..fraction.len().min(6)];
    let scale = [0, 100_000, 10_000, 1_000, 100, 10, 1];
    if kept.is_empty() { Some(0) } else { Some(number(kept)? * scale[kept.len()]) }
}

/// `Feb 10 16:09:19`, as in syslog since ever.
pub(crate) fn bsd(text: &[u8]) -> Option<Stamp> {
    if text.len() < 15 || text[3] != b' ' || text[6] != b' ' {
        return None;
    }
    let day = number(text[4..6].trim_ascii_start())?;
    let days = checked(2000, month(&text[..3])?, day)?;
    Some(Stamp { civil_us: days * DAY_US + time_of_day(&text[7..])?, zone: Zone::NoYear })
}

/// `10/Feb/2022:16:09:19 +0000` and `10/Feb/2022:16:09:19.414`, as web servers and HAProxy write it.
pub(crate) fn web(text: &[u8]) -> Option<Stamp> {
    if text.len() < 20 || text[2] != b'/' || text[6] != b'/' || text[11] != b':' {
        return None;
    }
    let day = checked(number(&text[7..11])?, month(&text[3..6])?, number(&text[..2])?)?;
    let mut us = day * DAY_US + time_of_day(&text[12..])?;
    let mut zone = Zone::Wall;
    match text.get(20) {
        Some(b'.') => us += micros(text[21..].split(|c| !c.is_ascii_digit()).next()?)?,
        Some(b' ') if text.len() >= 26 && (text[21] == b'+' || text[21] == b'-') => {
            let minutes = number(&text[22..24])? * 60 + number(&text[24..26])?;
            us -= minutes * 60_000_000 * if text[21] == b'+' { 1 } else { -1 };
            zone = Zone::Stated;
        }
        _ => {}
    }
    Some(Stamp { civil_us: us, zone })
}

/// `Thu Feb 10 16:09:19.414123 2022` and `Thu Feb 10 16:09:19 2022`, as Apache's error log and uWSGI write it.
pub(crate) fn ctime(text: &[u8]) -> Option<Stamp> {
    if text.len() < 24 || text[3] != b' ' || text[7] != b' ' || text[10] != b' ' {
        return None;
    }
    let (at, year) = (&text[11..19], &text[text.len() - 4..]);
    let day = checked(number(year)?, month(&text[4..7])?, number(text[8..10].trim_ascii_start())?)?;
    let fraction = if text[19] == b'.' { micros(text[20..].split(|c| *c == b' ').next()?)? } else { 0 };
    Some(Stamp { civil_us: day * DAY_US + time_of_day(at)? + fraction, zone: Zone::Wall })
}

/// `10-Feb-2022::16:09:19`, as RabbitMQ up to 3.6 writes it.
pub(crate) fn erlang(text: &[u8]) -> Option<Stamp> {
    let day_digits = text.iter().take_while(|c| c.is_ascii_digit()).count();
    let rest = text.get(day_digits..)?;
    if rest.len() < 19 || rest[0] != b'-' || rest[4] != b'-' || &rest[9..11] != b"::" {
        return None;
    }
    let day = checked(number(&rest[5..9])?, month(&rest[1..4])?, number(&text[..day_digits])?)?;
    Some(Stamp { civil_us: day * DAY_US + time_of_day(&rest[11..])?, zone: Zone::Wall })
}

/// `220210 16:09:19` and `220210  6:09:19`, as mysqld_safe and old MariaDB write it.
pub(crate) fn short(text: &[u8]) -> Option<Stamp> {
    if text.len() < 15 || text[6] != b' ' {
        return None;
    }
    let day = checked(2000 + number(&text[..2])?, number(&text[2..4])?, number(&text[4..6])?)?;
    let mut at = [b'0'; 8];
    at.copy_from_slice(&text[7..15]);
    if at[0] == b' ' {
        at[0] = b'0';
    }
    Some(Stamp { civil_us: day * DAY_US + time_of_day(&at)?, zone: Zone::Wall })
}

/// Microseconds since 1970, as journald writes it.
pub(crate) fn epoch_us(text: &[u8]) -> Option<Stamp> {
    let us: i64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    (us >= 0).then_some(Stamp { civil_us: us, zone: Zone::Stated })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const AT: i64 = 1_644_509_359_000_000; // 2022-02-10 16:09:19

    #[test]
    fn every_way_to_write_a_time_is_the_same_moment() {
        let wall = |us| Some(Stamp { civil_us: us, zone: Zone::Wall });
        let stated = |us| Some(Stamp { civil_us: us, zone: Zone::Stated });
        assert_eq!(iso(b"2022-02-10 16:09:19.414"), wall(AT + 414_000));
        assert_eq!(iso(b"2022-02-10 16:09:19,414"), wall(AT + 414_000));
        assert_eq!(iso(b"2022-02-10T16:09:19.414Z"), stated(AT + 414_000));
        assert_eq!(iso(b"2022-02-10T18:09:19.000001+02:00"), stated(AT + 1));
        assert_eq!(iso(b"2022-02-10 14:09:19.5-0200"), stated(AT + 500_000));
        assert_eq!(iso(b"2022-02-10T16:09:19.123456789Z"), stated(AT + 123_456));
        assert_eq!(web(b"10/Feb/2022:16:09:19.414"), wall(AT + 414_000));
        assert_eq!(web(b"10/Feb/2022:17:09:19 +0100"), stated(AT));
        assert_eq!(ctime(b"Thu Feb 10 16:09:19.414123 2022"), wall(AT + 414_123));
        assert_eq!(ctime(b"Thu Feb 10 16:09:19 2022"), wall(AT));
        assert_eq!(erlang(b"10-Feb-2022::16:09:19"), wall(AT));
        assert_eq!(short(b"220210 16:09:19"), wall(AT));
        assert_eq!(epoch_us(b"1644509359000000"), stated(AT));
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in
            ["2022-02-30 16:09:19.414", "2022-13-01 16:09:19", "2022-02-10 25:09:19", "0000-00-00 00:00:00"]
        {
            assert_eq!(iso(text.as_bytes()), None, "{text}");
        }
        assert_eq!(bsd(b"Feb 31 00:00:01"), None);
        assert_eq!(bsd(b"Foo 10 00:00:01"), None);
    }

    proptest! {
        #[test]
        fn dates_come_back(day in -20_000i64..60_000) {
            let (year, month, of_month) = date(day);
            prop_assert_eq!(days(year, month, of_month), day);
        }

        #[test]
        fn nothing_panics(text in proptest::collection::vec(any::<u8>(), 0..60)) {
            for read in [iso, bsd, web, ctime, erlang, short, epoch_us] {
                let _ = read(&text);
            }
            let _ = iso_length(&text);
        }
    }
}
