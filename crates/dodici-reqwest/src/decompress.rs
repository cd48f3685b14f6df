//! The outermost layer: content codings, by tower-http. Without a coding's feature it is nothing.

#[cfg(any(
    feature = "gzip",
    feature = "brotli",
    feature = "zstd",
    feature = "deflate"
))]
pub(crate) type Decompress<S> = tower_http::decompression::Decompression<S>;

#[cfg(not(any(
    feature = "gzip",
    feature = "brotli",
    feature = "zstd",
    feature = "deflate"
)))]
pub(crate) type Decompress<S> = S;

/// Which codings a client asks for and takes away. A coding whose feature is missing counts as
/// off.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Codings {
    pub(crate) gzip: bool,
    pub(crate) brotli: bool,
    pub(crate) zstd: bool,
    pub(crate) deflate: bool,
}

impl Default for Codings {
    fn default() -> Self {
        Self {
            gzip: cfg!(feature = "gzip"),
            brotli: cfg!(feature = "brotli"),
            zstd: cfg!(feature = "zstd"),
            deflate: cfg!(feature = "deflate"),
        }
    }
}

impl Codings {
    pub(crate) fn layer<S>(self, inner: S) -> Decompress<S> {
        #[cfg(any(
            feature = "gzip",
            feature = "brotli",
            feature = "zstd",
            feature = "deflate"
        ))]
        {
            // Another crate may have turned on codings in tower-http that are off here.
            let layer = Decompress::new(inner)
                .no_gzip()
                .no_br()
                .no_zstd()
                .no_deflate();
            #[cfg(feature = "gzip")]
            let layer = layer.gzip(self.gzip);
            #[cfg(feature = "brotli")]
            let layer = layer.br(self.brotli);
            #[cfg(feature = "zstd")]
            let layer = layer.zstd(self.zstd);
            #[cfg(feature = "deflate")]
            let layer = layer.deflate(self.deflate);
            layer
        }
        #[cfg(not(any(
            feature = "gzip",
            feature = "brotli",
            feature = "zstd",
            feature = "deflate"
        )))]
        inner
    }
}
