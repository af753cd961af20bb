//! Tables as bytes, little-endian, and back: what a build keeps between its steps and what daemons load.

/// Bytes that are no tables of this version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the bytes are no tables of this version of indicia: build them again")]
pub struct Broken;

/// Writes one value after another.
#[derive(Debug, Default)]
pub struct Writer(pub Vec<u8>);

impl Writer {
    pub fn i64(&mut self, value: i64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub fn i64s(&mut self, values: &[i64]) {
        self.i64(values.len() as i64);
        values.iter().for_each(|value| self.i64(*value));
    }

    pub fn bytes(&mut self, bytes: &[u8]) {
        self.i64(bytes.len() as i64);
        self.0.extend_from_slice(bytes);
    }

    pub fn texts(&mut self, texts: &[String]) {
        self.i64(texts.len() as i64);
        for text in texts {
            self.i64(text.len() as i64);
            self.0.extend_from_slice(text.as_bytes());
        }
    }

    pub fn f32s(&mut self, values: &[f32]) {
        self.i64(values.len() as i64);
        values.iter().for_each(|value| self.0.extend_from_slice(&value.to_le_bytes()));
    }

    pub fn pairs(&mut self, pairs: &[(u32, f32)]) {
        self.i64(pairs.len() as i64);
        for (number, weight) in pairs {
            self.0.extend_from_slice(&number.to_le_bytes());
            self.0.extend_from_slice(&weight.to_le_bytes());
        }
    }
}

/// Reads them in the same order.
#[derive(Debug)]
pub struct Reader<'a>(pub &'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Broken> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(Broken)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub fn i64(&mut self) -> Result<i64, Broken> {
        Ok(i64::from_le_bytes(self.take()?))
    }

    /// How many values of `size` bytes follow: never more than there are bytes.
    fn len(&mut self, size: usize) -> Result<usize, Broken> {
        usize::try_from(self.i64()?).ok().filter(|len| len.saturating_mul(size) <= self.0.len()).ok_or(Broken)
    }

    pub fn i64s(&mut self) -> Result<Vec<i64>, Broken> {
        (0..self.len(8)?).map(|_| self.i64()).collect()
    }

    pub fn texts(&mut self) -> Result<Vec<String>, Broken> {
        (0..self.len(8)?).map(|_| String::from_utf8(self.bytes()?).map_err(|_| Broken)).collect()
    }

    pub fn bytes(&mut self) -> Result<Vec<u8>, Broken> {
        let len = self.len(1)?;
        let (bytes, rest) = self.0.split_at(len);
        self.0 = rest;
        Ok(bytes.to_vec())
    }

    pub fn f32s(&mut self) -> Result<Vec<f32>, Broken> {
        (0..self.len(4)?).map(|_| Ok(f32::from_le_bytes(self.take()?))).collect()
    }

    pub fn pairs(&mut self) -> Result<Vec<(u32, f32)>, Broken> {
        let pair = |r: &mut Self| Ok((u32::from_le_bytes(r.take()?), f32::from_le_bytes(r.take()?)));
        (0..self.len(8)?).map(|_| pair(self)).collect()
    }
}
