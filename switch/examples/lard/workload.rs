use pointsman::balance::hash_bytes;

/// Files and how often each is asked for: Zipf's law for the requests, log-normal sizes, and no
/// relation between the two.
pub(crate) struct Workload {
    /// Bytes.
    sizes: Vec<u64>,
    hashes: Vec<u64>,
    /// Requests for this file and all more popular ones, as a part of all.
    popularity: Vec<f64>,
}

impl Workload {
    /// So many files of so many bytes in all; the file of rank r is asked for as often as 1/r^alpha.
    pub(crate) fn new(count: usize, bytes: u64, alpha: f64) -> Self {
        let mut random = Random(1998);
        let mut sizes: Vec<f64> = (0..count).map(|_| (1.5 * random.normal()).exp()).collect();
        let scale = bytes as f64 / sizes.iter().sum::<f64>();
        sizes.iter_mut().for_each(|size| *size *= scale);
        let mut sum = 0.0;
        let mut popularity: Vec<f64> = (1..=count)
            .map(|rank| {
                sum += (rank as f64).powf(-alpha);
                sum
            })
            .collect();
        popularity.iter_mut().for_each(|part| *part /= sum);
        Self {
            sizes: sizes.iter().map(|size| *size as u64 + 1).collect(),
            hashes: (0..count)
                .map(|file| hash_bytes(format!("/files/{file}").as_bytes()))
                .collect(),
            popularity,
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.sizes.len()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.sizes.iter().sum()
    }

    pub(crate) fn size(&self, file: usize) -> u64 {
        self.sizes[file]
    }

    pub(crate) fn hash(&self, file: usize) -> u64 {
        self.hashes[file]
    }

    pub(crate) fn next(&self, random: &mut Random) -> usize {
        let point = random.unit();
        let place = self.popularity.partition_point(|part| *part < point);
        place.min(self.sizes.len() - 1)
    }
}

/// splitmix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0.0 up to 1.0.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Normally distributed, by the method of Box and Muller.
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }
}
