//! (under construction)
use crate::kernel::{Device, DeviceError, Program, Session, SessionConfig};
/// GPU
#[derive(Debug)]
pub struct Gpu;
impl Gpu {
    /// Opens.
    pub fn open(_: Option<&str>) -> Result<Gpu, DeviceError> {
        Err(DeviceError::NotFound("under construction".into()))
    }
}
impl Device for Gpu {
    fn name(&self) -> String {
        "GPU".into()
    }
    fn session<'a>(
        &'a self,
        _: &'a Program,
        _: &SessionConfig,
    ) -> Result<Box<dyn Session + 'a>, DeviceError> {
        Err(DeviceError::NotFound("under construction".into()))
    }
}
