// CONV_2D and FULLY_CONNECTED in float for any number of channels: the input element by element.
#import shared/product_f32

@group(0) @binding(5) var<storage, read> input: array<f32>;

fn load_quad(element: u32, count: u32) -> vec4<f32> {
    var quad = vec4<f32>(input[element], 0.0, 0.0, 0.0);
    if (count > 1u) {
        quad.y = input[element + 1u];
    }
    if (count > 2u) {
        quad.z = input[element + 2u];
    }
    if (count > 3u) {
        quad.w = input[element + 3u];
    }
    return quad;
}
