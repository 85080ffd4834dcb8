// The texts are English as they are written.
export default {};
