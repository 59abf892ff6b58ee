// Geometry of a depthwise convolution.
struct Window {
    in_h: u32,
    in_w: u32,
    in_c: u32,
    out_h: u32,
    out_w: u32,
    out_c: u32,
    k_h: u32,
    k_w: u32,
    stride_h: u32,
    stride_w: u32,
    dilation_h: u32,
    dilation_w: u32,
    pad_top: u32,
    pad_left: u32,
    // Output channels of one input channel.
    group_out: u32,
    // Output pixels of one sample.
    pixels: u32,
    // Words from one sample of the input to the next.
    in_stride: u32,
}
