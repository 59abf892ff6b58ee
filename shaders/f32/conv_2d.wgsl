// CONV_2D and FULLY_CONNECTED in float where the channels of a group are a multiple of 4: the input in quads.
#import shared/product_f32

@group(0) @binding(5) var<storage, read> input: array<vec4<f32>>;

fn load_quad(element: u32, count: u32) -> vec4<f32> {
    return input[element / 4u];
}
