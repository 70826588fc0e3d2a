using System;

namespace Derecho
{
    /// <summary>A struct of a service: immutable, equal by value. Generated classes derive from it.</summary>
    public abstract class Struct
    {
        private readonly string _name;
        private readonly int _fixedBytes;

        /// <summary>Of a struct.</summary>
        protected Struct(string name, int fixedBytes)
        {
            _name = name;
            _fixedBytes = fixedBytes;
        }

        /// <summary>Put the fields.</summary>
        public abstract void Put(Encoder encoder, int at);

        /// <summary>As a message of its own, whose fields are the struct's.</summary>
        /// <exception cref="EncodeError">When a field does not fit.</exception>
        public byte[] Encode() => Encoder.ToArray(_name, _fixedBytes, encoder => Put(encoder, 0));

        /// <summary>Two are equal when they are encoded alike: floating-point numbers by their bits, maps in
        /// order.</summary>
        public override bool Equals(object other) =>
            ReferenceEquals(this, other) ||
            other is Struct that && that.GetType() == GetType() && ByteComparer.Same(Encode(), that.Encode());

        /// <summary>Of the encoding.</summary>
        public override int GetHashCode() => ByteComparer.Hash(Encode());
    }

    /// <summary>What a method without a result gives.</summary>
    public struct Nothing { }
}
