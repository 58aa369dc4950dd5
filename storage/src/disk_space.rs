//! Space on the disk, taken before it is needed.

use std::{
    fs::File,
    io::{self, Seek, SeekFrom, Write},
};

static ZEROS: [u8; 1 << 20] = [0; 1 << 20];

/// Makes the file `to_bytes` long, with space on the disk behind every byte from `from_bytes` on, so that writing
/// through a map cannot hit a full disk.
///
/// The zeros are written, although the space is allocated already: a page's first write through the map costs five
/// times less when the page is in the cache (320 MB in 64 KiB appends on ext4: 0.06 s of CPU, 0.4 s without, and
/// populating the map by `madvise` saves nothing at this step size).
pub(crate) fn allocate(mut file: &File, from_bytes: u64, to_bytes: u64) -> io::Result<()> {
    match fs4::FileExt::allocate(file, to_bytes) {
        Err(error) if error.kind() == io::ErrorKind::Unsupported => {}
        outcome => outcome?,
    }
    file.seek(SeekFrom::Start(from_bytes))?;
    let mut left = to_bytes.saturating_sub(from_bytes) as usize;
    while left > 0 {
        let chunk = &ZEROS[..left.min(ZEROS.len())];
        file.write_all(chunk)?;
        left -= chunk.len();
    }
    Ok(())
}

/// Makes the file end at `len_bytes` at the latest. Asking first is cheap, a change of the length is not.
pub(crate) fn cut(file: &File, len_bytes: u64) -> io::Result<()> {
    if file.metadata()?.len() > len_bytes { file.set_len(len_bytes) } else { Ok(()) }
}

pub(crate) fn is_disk_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};

    use super::*;

    #[test]
    fn allocated_space_is_zero() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), [7; 20]).unwrap();
        allocate(&OpenOptions::new().write(true).open(file.path()).unwrap(), 10, 100_000).unwrap();
        let bytes = fs::read(file.path()).unwrap();
        assert_eq!(bytes.len(), 100_000);
        assert!(bytes[..10].iter().all(|&byte| byte == 7) && bytes[10..].iter().all(|&byte| byte == 0));
    }
}
