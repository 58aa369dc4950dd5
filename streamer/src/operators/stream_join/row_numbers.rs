//! Which rows of one key a side of a join has: by numbers that grow, with gaps where rows have left.

use std::ops::Range;

use datafusion::error::Result;

use super::store::damaged;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct RowNumbers {
    /// No row has a number before it.
    first: u64,
    /// The next row's.
    next: u64,
    rows: u64,
}

impl RowNumbers {
    pub(super) fn read(bytes: &[u8]) -> Result<RowNumbers> {
        let mut numbers = bytes.chunks(8).map(|number| number.try_into().map(u64::from_be_bytes));
        let mut number = || numbers.next().and_then(std::result::Result::ok).ok_or_else(damaged);
        let read = RowNumbers { first: number()?, next: number()?, rows: number()? };
        let is_sound = read.next.checked_sub(read.first).is_some_and(|numbers| read.rows <= numbers);
        if is_sound { Ok(read) } else { Err(damaged()) }
    }

    /// `None` if there is no row.
    pub(super) fn bytes(self) -> Option<[u8; 24]> {
        let mut bytes = [0; 24];
        for (place, number) in bytes.chunks_mut(8).zip([self.first, self.next, self.rows]) {
            place.copy_from_slice(&number.to_be_bytes());
        }
        (self.rows > 0).then_some(bytes)
    }

    /// All numbers that a row may have.
    pub(super) fn all(self) -> Range<u64> {
        self.first..self.next
    }

    /// Whether looking for each number would cost much more than there are rows.
    pub(super) fn is_sparse(self) -> bool {
        self.next - self.first > self.rows.saturating_mul(4).saturating_add(64)
    }

    /// The number of one more row.
    pub(super) fn add(&mut self) -> u64 {
        let number = self.next;
        self.next += 1;
        self.rows += 1;
        number
    }

    pub(super) fn remove(&mut self, number: u64) {
        self.rows = self.rows.saturating_sub(1);
        if number == self.first {
            self.first += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_leave_in_order_leave_no_gap() {
        let mut numbers = RowNumbers::default();
        assert_eq!([numbers.add(), numbers.add(), numbers.add()], [0, 1, 2]);
        numbers.remove(0);
        numbers.remove(1);
        assert_eq!(numbers.all(), 2..3);
        assert_eq!(RowNumbers::read(&numbers.bytes().unwrap()).unwrap(), numbers);
        numbers.remove(2);
        assert_eq!(numbers.bytes(), None);
    }

    #[test]
    fn a_row_that_stays_among_many_that_leave_makes_them_sparse() {
        let mut numbers = RowNumbers::default();
        numbers.add();
        for _ in 0..100 {
            let number = numbers.add();
            numbers.remove(number);
        }
        assert!(numbers.is_sparse());
        assert_eq!(numbers.bytes().map(|bytes| RowNumbers::read(&bytes).unwrap()), Some(numbers));
    }

    #[test]
    fn damaged_numbers_are_refused() {
        for bytes in [&[][..], &[0; 23], &[255; 24], &[[0; 16], [1; 16]].concat()[..24]] {
            assert!(RowNumbers::read(bytes).is_err(), "{bytes:?}");
        }
    }
}
