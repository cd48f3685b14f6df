//! Writing to a stream by writing to the one below it.
//!
//! Used by the streams of this module that read in their own way.

/// Implements `AsyncWrite` for `$stream` by what `$field` matches: `Pattern(below) => below, …`.
macro_rules! write_through {
    ($stream:ident . $field:ident { $($pattern:pat => $below:ident),+ }) => {
        impl tokio::io::AsyncWrite for $stream {
            #[inline]
            fn poll_write(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &[u8],
            ) -> Poll<io::Result<usize>> {
                match &mut self.get_mut().$field {
                    $($pattern => Pin::new($below).poll_write(cx, buf),)+
                }
            }

            #[inline]
            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bufs: &[io::IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                match &mut self.get_mut().$field {
                    $($pattern => Pin::new($below).poll_write_vectored(cx, bufs),)+
                }
            }

            #[inline]
            fn is_write_vectored(&self) -> bool {
                match &self.$field {
                    $($pattern => $below.is_write_vectored(),)+
                }
            }

            #[inline]
            fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                match &mut self.get_mut().$field {
                    $($pattern => Pin::new($below).poll_flush(cx),)+
                }
            }

            fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                match &mut self.get_mut().$field {
                    $($pattern => Pin::new($below).poll_shutdown(cx),)+
                }
            }
        }
    };
}
pub(super) use write_through;
